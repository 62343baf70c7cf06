// Chats, settings and history of the account: what its devices know in common.
package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/proto/waSyncAction"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

// change makes one change as a person would in the client.
func (d *driver) change(ctx context.Context, cli *whatsmeow.Client, c command) error {
	var chat types.JID
	// Labels and quick replies stand in its place.
	if c.What != "label" && c.What != "quick_reply" && c.Chat != "" {
		var err error
		if chat, err = types.ParseJID(c.Chat); err != nil {
			return err
		}
	}
	if c.What == "recover" {
		request := whatsmeow.BuildAppStateRecoveryRequest(appstate.WAPatchName(c.Text))
		if _, err := cli.SendPeerMessage(ctx, request); err != nil {
			return err
		}
		d.emit("changed", fields{"ref": c.Ref})
		return nil
	}
	var patch appstate.PatchInfo
	switch c.What {
	case "mute":
		patch = appstate.BuildMute(chat, c.On, 0)
	case "pin":
		patch = appstate.BuildPin(chat, c.On)
	case "archive":
		patch = appstate.BuildArchive(chat, c.On, time.Time{}, nil)
	case "read":
		patch = appstate.BuildMarkChatAsRead(chat, c.On, time.Time{}, nil)
	case "star":
		patch = appstate.BuildStar(chat, chat, c.Text, true, c.On)
	case "clear":
		cleared := &waSyncAction.ClearChatAction{MessageRange: &waSyncAction.SyncActionMessageRange{
			LastMessageTimestamp: proto.Int64(time.Now().Unix()),
		}}
		patch = record(appstate.WAPatchRegularHigh, 6, &waSyncAction.SyncActionValue{ClearChatAction: cleared},
			appstate.IndexClearChat, chat.String(), "1", "0")
	case "delete":
		patch = appstate.BuildDeleteChat(chat, time.Time{}, nil, false)
	case "delete_for_me":
		gone := &waSyncAction.DeleteMessageForMeAction{
			DeleteMedia: proto.Bool(false), MessageTimestamp: proto.Int64(time.Now().Unix()),
		}
		patch = record(appstate.WAPatchRegularHigh, 3, &waSyncAction.SyncActionValue{DeleteMessageForMeAction: gone},
			appstate.IndexDeleteMessageForMe, chat.String(), c.Text, "1", "0")
	case "contact":
		saved := &waSyncAction.ContactAction{FullName: proto.String(c.Text), SaveOnPrimaryAddressbook: proto.Bool(true)}
		patch = record(appstate.WAPatchCriticalUnblockLow, 2, &waSyncAction.SyncActionValue{ContactAction: saved},
			appstate.IndexContact, chat.String())
	case "label":
		patch = appstate.BuildLabelEdit(c.Chat, c.Text, 1, !c.On)
	case "label_chat":
		patch = appstate.BuildLabelChat(chat, c.Text, c.On)
	case "label_message":
		label, message, _ := strings.Cut(c.Text, " ")
		patch = appstate.BuildLabelMessage(chat, label, message, c.On)
	case "quick_reply":
		reply := &waSyncAction.QuickReplyAction{
			Shortcut: proto.String(c.Chat), Message: proto.String(c.Text), Deleted: proto.Bool(!c.On),
		}
		patch = record(appstate.WAPatchRegular, 2, &waSyncAction.SyncActionValue{QuickReplyAction: reply},
			appstate.IndexQuickReply, c.Chat)
	case "push_name":
		patch = appstate.BuildSettingPushName(c.Text)
	case "status_mute":
		muted := &waSyncAction.UserStatusMuteAction{Muted: proto.Bool(c.On)}
		patch = record(appstate.WAPatchRegularHigh, 7, &waSyncAction.SyncActionValue{UserStatusMuteAction: muted},
			appstate.IndexUserStatusMute, chat.String())
	case "link_previews":
		disabled := &waSyncAction.PrivacySettingDisableLinkPreviewsAction{IsPreviewsDisabled: proto.Bool(c.On)}
		patch = record(appstate.WAPatchRegular, 8,
			&waSyncAction.SyncActionValue{PrivacySettingDisableLinkPreviewsAction: disabled}, linkPreviews)
	default:
		return fmt.Errorf("unknown change %q", c.What)
	}
	if err := cli.SendAppState(ctx, patch); err != nil {
		return err
	}
	d.emit("changed", fields{"ref": c.Ref})
	return nil
}

// linkPreviews names the setting; the library has no name for it.
const linkPreviews = "setting_disableLinkPreviews"

// record is a change of a kind that the library has no function for.
func record(name appstate.WAPatchName, version int32, value *waSyncAction.SyncActionValue, index ...string) appstate.PatchInfo {
	mutation := appstate.MutationInfo{Index: index, Version: version, Value: value}
	return appstate.PatchInfo{Type: name, Mutations: []appstate.MutationInfo{mutation}}
}

// onChat reports what others have changed.
func (d *driver) onChat(event any) {
	say := func(what, chat string, on bool, text string) {
		d.emit("chat", fields{"what": what, "chat": chat, "on": on, "text": text})
	}
	switch v := event.(type) {
	case *events.Mute:
		say("mute", v.JID.String(), v.Action.GetMuted(), "")
	case *events.Pin:
		say("pin", v.JID.String(), v.Action.GetPinned(), "")
	case *events.Archive:
		say("archive", v.JID.String(), v.Action.GetArchived(), "")
	case *events.MarkChatAsRead:
		say("read", v.JID.String(), v.Action.GetRead(), "")
	case *events.Star:
		say("star", v.ChatJID.String(), v.Action.GetStarred(), v.MessageID)
	case *events.ClearChat:
		say("clear", v.JID.String(), true, "")
	case *events.DeleteChat:
		say("delete", v.JID.String(), true, "")
	case *events.DeleteForMe:
		say("delete_for_me", v.ChatJID.String(), true, v.MessageID)
	case *events.Contact:
		say("contact", v.JID.String(), true, v.Action.GetFullName())
	case *events.LabelEdit:
		say("label", v.LabelID, !v.Action.GetDeleted(), v.Action.GetName())
	case *events.LabelAssociationChat:
		say("label_chat", v.JID.String(), v.Action.GetLabeled(), v.LabelID)
	case *events.LabelAssociationMessage:
		say("label_message", v.JID.String(), v.Action.GetLabeled(), v.LabelID+" "+v.MessageID)
	case *events.UserStatusMute:
		say("status_mute", v.JID.String(), v.Action.GetMuted(), "")
	case *events.AppState:
		switch v.Index[0] {
		case linkPreviews:
			say("link_previews", "", v.GetPrivacySettingDisableLinkPreviewsAction().GetIsPreviewsDisabled(), "")
		case appstate.IndexQuickReply:
			say("quick_reply", v.Index[1], !v.GetQuickReplyAction().GetDeleted(), v.GetQuickReplyAction().GetMessage())
		}
	case *events.PushNameSetting:
		say("push_name", "", true, v.Action.GetName())
	case *events.HistorySync:
		messages := 0
		for _, chat := range v.Data.GetConversations() {
			messages += len(chat.GetMessages())
		}
		d.emit("history", fields{"chats": len(v.Data.GetConversations()), "messages": messages})
	}
}
