package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCommon"
	waE2E "go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

// Messages of every kind: sending them, and putting received ones into words.

// metaAI is the bot that is called into chats.
var metaAI = types.NewJID("867051314767696", types.BotServer)

func (d *driver) send(ctx context.Context, cli *whatsmeow.Client, c command, to types.JID, message *waE2E.Message) error {
	id := cli.GenerateMessageID()
	if c.Kind == "text_as" {
		id = c.About
	}
	d.lock.Lock()
	d.sent[id] = message
	d.lock.Unlock()
	extra := whatsmeow.SendRequestExtra{ID: id}
	if c.Kind == "call_bot" {
		extra.InlineBotJID = metaAI
	}
	answer, err := cli.SendMessage(ctx, to, message, extra)
	if err != nil {
		return err
	}
	d.emit("sent", fields{"ref": c.Ref, "id": answer.ID})
	return nil
}

func (d *driver) say(ctx context.Context, cli *whatsmeow.Client, c command) error {
	to, err := types.ParseJID(c.To)
	if err != nil {
		return err
	}
	d.lock.Lock()
	about, heard := d.heard[c.About]
	d.lock.Unlock()
	author, root := types.EmptyJID, own(cli, to, c.About)
	if heard {
		author, root = about.Info.Sender, &about.Info
	}
	message, err := beside(cli, c, to, about)
	if err != nil {
		return err
	} else if message != nil {
		return d.send(ctx, cli, c, to, message)
	}
	switch c.Kind {
	case "text_as":
		message = &waE2E.Message{Conversation: proto.String(c.Text)}
	case "location":
		message = &waE2E.Message{LocationMessage: &waE2E.LocationMessage{
			DegreesLatitude: proto.Float64(52.5), DegreesLongitude: proto.Float64(13.5), Name: proto.String(c.Text),
		}}
	case "live_location":
		message = &waE2E.Message{LiveLocationMessage: &waE2E.LiveLocationMessage{
			DegreesLatitude: proto.Float64(52.5), DegreesLongitude: proto.Float64(13.5), Caption: proto.String(c.Text),
		}}
	case "contact":
		message = &waE2E.Message{ContactMessage: &waE2E.ContactMessage{
			DisplayName: proto.String(c.Text), Vcard: proto.String("BEGIN:VCARD\nVERSION:3.0\nFN:" + c.Text + "\nEND:VCARD"),
		}}
	case "poll":
		message = cli.BuildPollCreation(c.Text, []string{"yes", "no"}, 1)
	case "ending_poll":
		end, err := strconv.ParseInt(c.About, 10, 64)
		if err != nil {
			return err
		}
		message = cli.BuildPollCreation(c.Text, []string{"yes", "no"}, 1)
		poll := message.GetPollCreationMessage()
		poll.EndTime, poll.HideParticipantName = &end, proto.Bool(true)
	case "open_poll":
		message = cli.BuildPollCreation(c.Text, []string{"yes", "no"}, 1)
		message.GetPollCreationMessage().AllowAddOption = proto.Bool(true)
	case "quiz":
		message = cli.BuildPollCreation(c.Text, []string{"yes", "no"}, 1)
		quiz, hash := message.GetPollCreationMessage(), sha256.Sum256([]byte("no"))
		quiz.PollType = waE2E.PollType_QUIZ.Enum()
		quiz.CorrectAnswer = &waE2E.PollCreationMessage_Option{
			OptionName: proto.String("no"), OptionHash: proto.String(hex.EncodeToString(hash[:])),
		}
	case "share_phone_number":
		message = &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Type: waE2E.ProtocolMessage_SHARE_PHONE_NUMBER.Enum(),
		}}
	case "request_phone_number":
		message = &waE2E.Message{RequestPhoneNumberMessage: &waE2E.RequestPhoneNumberMessage{}}
	case "limit_sharing":
		message = &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
			Type: waE2E.ProtocolMessage_LIMIT_SHARING.Enum(),
			LimitSharing: &waCommon.LimitSharing{
				SharingLimited: proto.Bool(c.Text == "on"), Trigger: waCommon.LimitSharing_CHAT_SETTING.Enum(),
				LimitSharingSettingTimestamp: proto.Int64(time.Now().UnixMilli()), InitiatedByMe: proto.Bool(true),
			},
		}}
	case "vote":
		if !heard {
			return fmt.Errorf("no poll %s was received", c.About)
		}
		if message, err = cli.BuildPollVote(ctx, root, []string{c.Text}); err != nil {
			return err
		}
	case "calendar_event":
		secret := make([]byte, 32)
		message = &waE2E.Message{
			EventMessage:       &waE2E.EventMessage{Name: proto.String(c.Text), StartTime: proto.Int64(1_900_000_000)},
			MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: secret},
		}
	case "list":
		message = &waE2E.Message{ListMessage: &waE2E.ListMessage{
			Description: proto.String(c.Text), ButtonText: proto.String("open"), ListType: waE2E.ListMessage_SINGLE_SELECT.Enum(),
			Sections: []*waE2E.ListMessage_Section{{
				Title: proto.String("all"),
				Rows:  []*waE2E.ListMessage_Row{{Title: proto.String("one"), RowID: proto.String("row: " + c.Text)}},
			}},
		}}
	case "buttons":
		message = &waE2E.Message{ButtonsMessage: &waE2E.ButtonsMessage{
			ContentText: proto.String(c.Text), HeaderType: waE2E.ButtonsMessage_EMPTY.Enum(),
			Buttons: []*waE2E.ButtonsMessage_Button{{
				ButtonID: proto.String("button: " + c.Text), Type: waE2E.ButtonsMessage_Button_RESPONSE.Enum(),
				ButtonText: &waE2E.ButtonsMessage_Button_ButtonText{DisplayText: proto.String("one")},
			}},
		}}
	case "product":
		message = &waE2E.Message{ProductMessage: &waE2E.ProductMessage{
			Product:          &waE2E.ProductMessage_ProductSnapshot{ProductID: proto.String("1"), Title: proto.String(c.Text)},
			BusinessOwnerJID: proto.String(cli.Store.GetJID().ToNonAD().String()),
		}}
	case "product_list":
		message = &waE2E.Message{ListMessage: &waE2E.ListMessage{
			Description: proto.String(c.Text), ButtonText: proto.String("see"), ListType: waE2E.ListMessage_PRODUCT_LIST.Enum(),
			ProductListInfo: &waE2E.ListMessage_ProductListInfo{
				BusinessOwnerJID: proto.String(cli.Store.GetJID().ToNonAD().String()),
				ProductSections: []*waE2E.ListMessage_ProductSection{{
					Title: proto.String("fresh"), Products: []*waE2E.ListMessage_Product{{ProductID: proto.String("7")}},
				}},
			},
		}}
	case "order":
		id, token := "1", "opens"
		if c.About != "" {
			id, token, _ = strings.Cut(c.About, " ")
		}
		message = &waE2E.Message{OrderMessage: &waE2E.OrderMessage{
			OrderID: &id, Token: &token, Message: proto.String(c.Text), ItemCount: proto.Int32(2),
			SellerJID:       proto.String(cli.Store.GetJID().ToNonAD().String()),
			TotalAmount1000: proto.Int64(3980), TotalCurrencyCode: proto.String("EUR"),
			Status: waE2E.OrderMessage_INQUIRY.Enum(), Surface: waE2E.OrderMessage_CATALOG.Enum(),
		}}
	case "call_bot":
		message = &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{
			Text: proto.String(c.Text), ContextInfo: &waE2E.ContextInfo{MentionedJID: []string{metaAI.String()}},
		}}
	case "reaction":
		message = cli.BuildReaction(to, author, c.About, c.Text)
	case "edit":
		message = cli.BuildEdit(to, c.About, &waE2E.Message{Conversation: proto.String(c.Text)})
	case "secret":
		// One that the test knows, for its bot.
		secret := sha256.Sum256([]byte(c.Text))
		message = &waE2E.Message{
			Conversation:       proto.String(c.Text),
			MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: secret[:]},
		}
	case "concealed_reaction":
		reaction := cli.BuildReaction(to, author, c.About, c.Text).GetReactionMessage()
		sealed, err := cli.EncryptReaction(ctx, root, reaction)
		if err != nil {
			return err
		}
		message = &waE2E.Message{EncReactionMessage: sealed}
	case "concealed_comment":
		if message, err = cli.EncryptComment(ctx, root, &waE2E.Message{Conversation: proto.String(c.Text)}); err != nil {
			return err
		}
	case "revoke":
		message = cli.BuildRevoke(to, author, c.About)
	case "pin":
		kind, lasting := waE2E.PinInChatMessage_PIN_FOR_ALL, proto.Uint32(day)
		if c.Text == "undo" {
			kind, lasting = waE2E.PinInChatMessage_UNPIN_FOR_ALL, proto.Uint32(0)
		}
		message = &waE2E.Message{
			PinInChatMessage:   &waE2E.PinInChatMessage{Key: cli.BuildMessageKey(to, author, c.About), Type: kind.Enum()},
			MessageContextInfo: &waE2E.MessageContextInfo{MessageAddOnDurationInSecs: lasting},
		}
	default:
		return fmt.Errorf("unknown kind %q", c.Kind)
	}
	return d.send(ctx, cli, c, to, message)
}

// own is what is known of a message that this client has sent.
func own(cli *whatsmeow.Client, chat types.JID, id types.MessageID) *types.MessageInfo {
	source := types.MessageSource{Chat: chat, Sender: cli.Store.GetLID(), IsFromMe: true}
	return &types.MessageInfo{MessageSource: source, ID: id}
}

// describe says what a message is in one word, its text, and which message it is about. Plain texts have no
// word: they have an event of their own.
func (d *driver) describe(cli *whatsmeow.Client, v *events.Message) (kind, text, about string) {
	m := v.Message
	for _, poll := range polls(m) {
		if poll != nil {
			var options []string
			for _, option := range poll.GetOptions() {
				options = append(options, option.GetOptionName())
			}
			words := poll.GetName() + ": " + strings.Join(options, ", ")
			if poll.GetPollType() == waE2E.PollType_QUIZ {
				return "quiz", words + "; " + poll.GetCorrectAnswer().GetOptionName(), ""
			}
			return "poll", words, ""
		}
	}
	switch {
	case m.GetReactionMessage() != nil:
		return "reaction", m.GetReactionMessage().GetText(), m.GetReactionMessage().GetKey().GetID()
	case m.GetProtocolMessage().GetType() == waE2E.ProtocolMessage_MESSAGE_EDIT && m.GetProtocolMessage().GetEditedMessage() != nil:
		edited := m.GetProtocolMessage()
		return "edit", words(edited.GetEditedMessage()), edited.GetKey().GetID()
	case v.IsEdit, v.Info.Edit == types.EditAttributeAdminEdit:
		return "edit", plain(m), v.Info.ID
	case v.Info.Edit == types.EditAttributeAdminRevoke && v.Info.Chat.Server == types.NewsletterServer:
		return "revoke", "", v.Info.ID
	case m.GetProtocolMessage() != nil && m.GetProtocolMessage().GetType() == waE2E.ProtocolMessage_REVOKE:
		return "revoke", "", m.GetProtocolMessage().GetKey().GetID()
	case m.GetProtocolMessage().GetType() == waE2E.ProtocolMessage_SHARE_PHONE_NUMBER:
		return "share_phone_number", "", ""
	case m.GetRequestPhoneNumberMessage() != nil:
		return "request_phone_number", "", ""
	case m.GetProtocolMessage().GetType() == waE2E.ProtocolMessage_LIMIT_SHARING:
		if m.GetProtocolMessage().GetLimitSharing().GetSharingLimited() {
			return "limit_sharing", "on", ""
		}
		return "limit_sharing", "off", ""
	case m.GetPollUpdateMessage() != nil:
		about = m.GetPollUpdateMessage().GetPollCreationMessageKey().GetID()
		vote, err := cli.DecryptPollVote(context.Background(), v)
		if err != nil {
			return "vote", "unreadable: " + err.Error(), about
		}
		var hashes []string
		for _, hash := range vote.GetSelectedOptions() {
			hashes = append(hashes, hex.EncodeToString(hash))
		}
		return "vote", strings.Join(hashes, " "), about
	case m.GetEncReactionMessage() != nil:
		about = m.GetEncReactionMessage().GetTargetMessageKey().GetID()
		reaction, err := cli.DecryptReaction(context.Background(), v)
		if err != nil {
			return "concealed_reaction", "unreadable: " + err.Error(), about
		}
		return "concealed_reaction", reaction.GetText(), about
	case m.GetEncCommentMessage() != nil:
		about = m.GetEncCommentMessage().GetTargetMessageKey().GetID()
		comment, err := cli.DecryptComment(context.Background(), v)
		if err != nil {
			return "concealed_comment", "unreadable: " + err.Error(), about
		}
		return "concealed_comment", plain(comment), about
	case m.GetSecretEncryptedMessage() != nil:
		about, kind = m.GetSecretEncryptedMessage().GetTargetMessageKey().GetID(), "edit"
		if m.GetSecretEncryptedMessage().GetSecretEncType() == waE2E.SecretEncryptedMessage_POLL_ADD_OPTION {
			kind = "poll_option"
		}
		opened, err := cli.DecryptSecretEncryptedMessage(context.Background(), v)
		if err != nil {
			return kind, "unreadable: " + err.Error(), about
		}
		if kind == "poll_option" {
			return kind, opened.GetPollAddOptionMessage().GetAddOption().GetOptionName(), about
		}
		return kind, words(opened.GetProtocolMessage().GetEditedMessage()), about
	case m.GetEncEventResponseMessage() != nil:
		return "event_response", "", m.GetEncEventResponseMessage().GetEventCreationMessageKey().GetID()
	case m.GetLocationMessage() != nil:
		return "location", m.GetLocationMessage().GetName(), ""
	case m.GetLiveLocationMessage() != nil:
		return "live_location", m.GetLiveLocationMessage().GetCaption(), ""
	case m.GetContactMessage() != nil:
		return "contact", m.GetContactMessage().GetDisplayName(), ""
	case m.GetEventMessage() != nil:
		return "calendar_event", m.GetEventMessage().GetName(), ""
	case m.GetListMessage().GetProductListInfo() != nil:
		return "product_list", m.GetListMessage().GetDescription(), ""
	case m.GetOrderMessage() != nil:
		return "order", m.GetOrderMessage().GetMessage(), ""
	case m.GetListMessage() != nil:
		return "list", m.GetListMessage().GetDescription(), ""
	case m.GetButtonsMessage() != nil:
		return "buttons", m.GetButtonsMessage().GetContentText(), ""
	case m.GetProductMessage() != nil:
		return "product", m.GetProductMessage().GetProduct().GetTitle(), ""
	case m.GetPinInChatMessage() != nil:
		if m.GetPinInChatMessage().GetType() == waE2E.PinInChatMessage_UNPIN_FOR_ALL {
			text = "undo"
		}
		return "pin", text, m.GetPinInChatMessage().GetKey().GetID()
	}
	return describeBeside(m)
}

// plain is the text of a text message, which has two shapes.
func plain(m *waE2E.Message) string {
	if text := m.GetConversation(); text != "" {
		return text
	}
	return m.GetExtendedTextMessage().GetText()
}

// words are those of a text, or what is said beside a file.
func words(m *waE2E.Message) string {
	if document := m.GetDocumentWithCaptionMessage().GetMessage().GetDocumentMessage(); document != nil {
		return document.GetCaption()
	}
	if video := m.GetVideoMessage(); video != nil {
		return video.GetCaption()
	}
	if image := m.GetImageMessage(); image != nil {
		return image.GetCaption()
	}
	return plain(m)
}

func (d *driver) members(ctx context.Context, cli *whatsmeow.Client, c command) error {
	group, err := types.ParseJID(c.Group)
	if err != nil {
		return err
	}
	members := make([]types.JID, len(c.Participants))
	for i, text := range c.Participants {
		if members[i], err = types.ParseJID(text); err != nil {
			return err
		}
	}
	if _, err = cli.UpdateGroupParticipants(ctx, group, members, whatsmeow.ParticipantChange(c.Action)); err != nil {
		return err
	}
	d.emit("sent", fields{"ref": c.Ref, "id": ""})
	return nil
}
