package main

import (
	"fmt"
	"strconv"
	"time"

	"go.mau.fi/whatsmeow"
	waE2E "go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

// What goes with a message (mentions, a preview of a link, a forward, a time after which it disappears), what keeps
// messages or lets them disappear, and answers to messages that ask for one.

const (
	// What is previewed.
	link = "https://hens.example"
	// After which a message disappears: a day, in seconds.
	day = 86_400
)

// beside builds the message of a command of this file; nil for another kind. heard is what it is about.
func beside(cli *whatsmeow.Client, c command, to types.JID, heard *events.Message) (*waE2E.Message, error) {
	extended := func(text string, with *waE2E.ContextInfo) *waE2E.Message {
		return &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{Text: proto.String(text), ContextInfo: with}}
	}
	author := types.EmptyJID
	quoting := &waE2E.ContextInfo{StanzaID: proto.String(c.About), QuotedMessage: &waE2E.Message{Conversation: proto.String("quoted")}}
	if heard != nil {
		author, quoting.QuotedMessage = heard.Info.Sender, heard.Message
	}
	quoting.Participant = proto.String(author.ToNonAD().String())
	switch c.Kind {
	case "quote":
		return extended(c.Text, quoting), nil
	case "reply":
		quoting.RemoteJID = proto.String(types.StatusBroadcastJID.String())
		return extended(c.Text, quoting), nil
	case "mention":
		return extended(c.Text, &waE2E.ContextInfo{MentionedJID: []string{c.About}}), nil
	case "disappearing":
		return extended(c.Text, &waE2E.ContextInfo{Expiration: proto.Uint32(day)}), nil
	case "link_preview":
		return &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{
			Text: proto.String(link), MatchedText: proto.String(link), Title: proto.String(c.Text),
		}}, nil
	case "styled":
		message := extended(c.Text, nil)
		styled := message.ExtendedTextMessage
		styled.BackgroundArgb, styled.TextArgb = proto.Uint32(0xff1e6e4f), proto.Uint32(0xffffffff)
		styled.Font = waE2E.ExtendedTextMessage_FB_SCRIPT.Enum()
		return message, nil
	case "forward":
		if heard == nil {
			return nil, fmt.Errorf("%s was not received", c.About)
		}
		score := heard.Message.GetExtendedTextMessage().GetContextInfo().GetForwardingScore() + 1
		return extended(plain(heard.Message), &waE2E.ContextInfo{
			IsForwarded: proto.Bool(true), ForwardingScore: proto.Uint32(score),
		}), nil
	case "keep":
		kind := waE2E.KeepType_KEEP_FOR_ALL
		if c.Text == "undo" {
			kind = waE2E.KeepType_UNDO_KEEP_FOR_ALL
		}
		return &waE2E.Message{KeepInChatMessage: &waE2E.KeepInChatMessage{
			Key: cli.BuildMessageKey(to, author, c.About), KeepType: kind.Enum(), TimestampMS: proto.Int64(time.Now().UnixMilli()),
		}}, nil
	case "timer":
		seconds, err := strconv.ParseUint(c.Text, 10, 32)
		return &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Type:                      waE2E.ProtocolMessage_EPHEMERAL_SETTING.Enum(),
			EphemeralExpiration:       proto.Uint32(uint32(seconds)),
			EphemeralSettingTimestamp: proto.Int64(time.Now().Unix()),
		}}, err
	case "list_answer":
		if heard == nil {
			return nil, fmt.Errorf("%s was not received", c.About)
		}
		return &waE2E.Message{ListResponseMessage: &waE2E.ListResponseMessage{
			Title: proto.String(c.Text), ListType: waE2E.ListResponseMessage_SINGLE_SELECT.Enum(), ContextInfo: quoting,
			SingleSelectReply: &waE2E.ListResponseMessage_SingleSelectReply{SelectedRowID: proto.String(firstRow(heard.Message))},
		}}, nil
	case "button_answer":
		if heard == nil {
			return nil, fmt.Errorf("%s was not received", c.About)
		}
		return &waE2E.Message{ButtonsResponseMessage: &waE2E.ButtonsResponseMessage{
			SelectedButtonID: proto.String(firstButton(heard.Message)), Type: waE2E.ButtonsResponseMessage_DISPLAY_TEXT.Enum(), ContextInfo: quoting,
			Response: &waE2E.ButtonsResponseMessage_SelectedDisplayText{SelectedDisplayText: c.Text},
		}}, nil
	case "group_invite":
		return &waE2E.Message{GroupInviteMessage: &waE2E.GroupInviteMessage{
			GroupJID: proto.String("120363000000000001@g.us"), InviteCode: proto.String("HENS"),
			GroupName: proto.String("Hens"), Caption: proto.String(c.Text),
		}}, nil
	case "album":
		images, err := strconv.ParseUint(c.Text, 10, 32)
		return &waE2E.Message{AlbumMessage: &waE2E.AlbumMessage{ExpectedImageCount: proto.Uint32(uint32(images))}}, err
	}
	return nil, nil
}

// describeBeside puts a received message of this file into words, as describe does.
func describeBeside(m *waE2E.Message) (kind, text, about string) {
	extended := m.GetExtendedTextMessage()
	with := extended.GetContextInfo()
	switch {
	case m.GetProtocolMessage().GetType() == waE2E.ProtocolMessage_EPHEMERAL_SETTING:
		return "timer", fmt.Sprint(m.GetProtocolMessage().GetEphemeralExpiration()), ""
	case m.GetKeepInChatMessage() != nil:
		keep := m.GetKeepInChatMessage()
		if keep.GetKeepType() == waE2E.KeepType_UNDO_KEEP_FOR_ALL {
			text = "undo"
		}
		return "keep", text, keep.GetKey().GetID()
	case m.GetListResponseMessage() != nil:
		answer := m.GetListResponseMessage()
		return "list_answer", answer.GetTitle(), answer.GetContextInfo().GetStanzaID()
	case m.GetButtonsResponseMessage() != nil:
		answer := m.GetButtonsResponseMessage()
		return "button_answer", answer.GetSelectedDisplayText(), answer.GetContextInfo().GetStanzaID()
	case m.GetGroupInviteMessage() != nil:
		return "group_invite", m.GetGroupInviteMessage().GetCaption(), ""
	case m.GetAlbumMessage() != nil:
		return "album", fmt.Sprint(m.GetAlbumMessage().GetExpectedImageCount()), ""
	case extended.GetTitle() != "":
		return "link_preview", extended.GetTitle(), extended.GetMatchedText()
	case extended.GetBackgroundArgb() != 0:
		return "styled", extended.GetText(), ""
	case with.GetIsForwarded():
		return "forward", fmt.Sprintf("%s; %d", extended.GetText(), with.GetForwardingScore()), ""
	case len(with.GetMentionedJID()) > 0:
		return "mention", extended.GetText(), with.GetMentionedJID()[0]
	case with.GetExpiration() > 0:
		return "disappearing", fmt.Sprintf("%s; %d", extended.GetText(), with.GetExpiration()), ""
	case with.GetRemoteJID() == types.StatusBroadcastJID.String():
		return "reply", extended.GetText(), with.GetStanzaID()
	case with.GetQuotedMessage().GetLocationMessage() != nil:
		return "quote_place", extended.GetText(), with.GetStanzaID()
	case with.GetStanzaID() != "":
		return "quote", extended.GetText(), with.GetStanzaID()
	}
	return "", "", ""
}
