// Commands about people: numbers, profiles, privacy, presence, calls. Each is answered by one `answer` line
// whose value has the same shape from every driver.
package main

import (
	"bytes"
	"context"
	"fmt"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

// people carries out a command of this file; handled is false for every other.
func (d *driver) people(ctx context.Context, cli *whatsmeow.Client, c command) (handled bool, err error) {
	var value any
	to, _ := types.ParseJID(c.To)
	switch c.Cmd {
	case "check":
		found, err := cli.IsOnWhatsApp(ctx, []string{c.Phone})
		if err != nil {
			return true, err
		}
		value = len(found) == 1 && found[0].IsIn
	case "about":
		info, err := cli.GetUserInfo(ctx, []types.JID{to})
		if err != nil {
			return true, err
		}
		value = info[to].Status
	case "set_about":
		err = cli.SetStatusMessage(ctx, types.SetStatusInput{Text: &c.Text})
	case "picture":
		picture, failed := cli.GetProfilePictureInfo(ctx, to, nil)
		if failed != nil {
			return true, failed
		}
		value = picture.ID
	case "set_picture":
		// How every JPEG begins: WhatsApp takes nothing else.
		_, err = cli.SetGroupPhoto(ctx, to, append([]byte{0xff, 0xd8, 0xff}, c.Text...))
	case "privacy":
		settings, failed := cli.TryFetchPrivacySettings(ctx, true)
		if failed != nil {
			return true, failed
		}
		value = string(settings.LastSeen)
	case "hide_about":
		_, err = cli.SetPrivacySetting(ctx, types.PrivacySettingTypeStatus, types.PrivacySettingNone)
	case "default_timer":
		err = cli.SetDefaultDisappearingTimer(ctx, whatsmeow.DisappearingTimer24Hours)
	case "block":
		_, err = cli.UpdateBlocklist(ctx, to, events.BlocklistChangeActionBlock)
	case "blocked":
		list, failed := cli.GetBlocklist(ctx)
		if failed != nil {
			return true, failed
		}
		value = len(list.JIDs)
	case "presence":
		// It refuses to be seen without a name; the name is a matter of app state.
		if cli.Store.PushName == "" {
			cli.Store.PushName = "whatsmeow"
		}
		err = cli.SendPresence(ctx, types.Presence(c.Text))
	case "subscribe":
		err = cli.SubscribePresence(ctx, to)
	case "typing":
		media := types.ChatPresenceMediaText
		if c.Subject == "audio" {
			media = types.ChatPresenceMediaAudio
		}
		err = cli.SendChatPresence(ctx, to, types.ChatPresence(c.Text), media)
	case "reject_call":
		err = cli.RejectCall(ctx, to, c.Text)
	case "contact_link":
		code, failed := cli.GetContactQRLink(ctx, c.On)
		if failed != nil {
			return true, failed
		}
		value = whatsmeow.ContactQRLinkPrefix + code
	case "resolve_contact":
		target, failed := cli.ResolveContactQRLink(ctx, c.Text)
		if failed != nil {
			return true, failed
		}
		value = target.JID.String()
	case "resolve_message":
		target, failed := cli.ResolveBusinessMessageLink(ctx, c.Text)
		if failed != nil {
			return true, failed
		}
		value = fmt.Sprintf("%s (%s): %s", target.JID, target.VerifiedName, target.Message)
	case "bots":
		list, failed := cli.GetBotListV2(ctx)
		if failed != nil {
			return true, failed
		}
		profiles, failed := cli.GetBotProfiles(ctx, list)
		if failed != nil {
			return true, failed
		}
		names := make([]string, len(profiles))
		for i, profile := range profiles {
			names[i] = profile.Name
		}
		value = names
	case "push":
		err = cli.RegisterForPushNotifications(ctx, pushService(c.Kind))
	case "sticker_pack":
		words, failed := stickers(ctx, cli, c.Text)
		if failed != nil {
			return true, failed
		}
		value = words
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	d.emit("answer", fields{"ref": c.Ref, "value": value})
	return true, nil
}

// onPeople tells what others show and do; false for other events.
func (d *driver) onPeople(event any) bool {
	switch v := event.(type) {
	case *events.Presence:
		d.emit("presence", fields{"from": v.From.String(), "available": !v.Unavailable})
	case *events.ChatPresence:
		state := string(v.State)
		if v.Media == types.ChatPresenceMediaAudio {
			state = "recording"
		}
		d.emit("typing", fields{"from": v.Sender.String(), "state": state})
	case *events.Picture:
		d.emit("contact", fields{"from": v.JID.String(), "what": "picture"})
	case *events.Blocklist:
		for _, change := range v.Changes {
			d.emit("contact", fields{"from": change.JID.String(), "what": string(change.Action)})
		}
	case *events.PrivacySettings:
		// It says only which of them changed; the client has put the new ones into its cache before.
		if cli := d.client(); v.StatusChanged && cli != nil {
			settings := cli.GetPrivacySettings(context.Background())
			d.emit("contact", fields{"from": "", "what": "privacy " + string(settings.Status)})
		}
	case *events.UserAbout:
		d.emit("contact", fields{"from": v.JID.String(), "what": fmt.Sprintf("about %s", v.Status)})
	case *events.NewsletterJoin:
		d.emit("contact", fields{"from": v.ID.String(), "what": "followed"})
	case *events.NewsletterLeave:
		d.emit("contact", fields{"from": v.ID.String(), "what": "unfollowed"})
	case *events.NewsletterMuteChange:
		d.emit("contact", fields{"from": v.ID.String(), "what": "mute " + string(v.Mute)})
	default:
		return d.onCall(event)
	}
	return true
}

// onCall tells each part of a call; false for other events.
func (d *driver) onCall(event any) bool {
	tell := func(call types.BasicCallMeta, what string) bool {
		d.emit("call", fields{"id": call.CallID, "from": call.From.String(), "what": what})
		return true
	}
	switch v := event.(type) {
	case *events.CallOffer:
		return tell(v.BasicCallMeta, "offer")
	case *events.CallOfferNotice:
		return tell(v.BasicCallMeta, "offer_notice")
	case *events.CallPreAccept:
		return tell(v.BasicCallMeta, "preaccept")
	case *events.CallAccept:
		return tell(v.BasicCallMeta, "accept")
	case *events.CallTransport:
		return tell(v.BasicCallMeta, "transport")
	case *events.CallRelayLatency:
		return tell(v.BasicCallMeta, "relaylatency")
	case *events.CallReject:
		return tell(v.BasicCallMeta, "reject")
	case *events.CallTerminate:
		return tell(v.BasicCallMeta, "terminate")
	default:
		return false
	}
}

// pushService is one of each kind, the same as in the test.
func pushService(kind string) whatsmeow.PushConfig {
	sevens := func(length int) []byte { return bytes.Repeat([]byte{7}, length) }
	switch kind {
	case "web":
		return &whatsmeow.WebPushConfig{Endpoint: "https://push.example/1", Auth: sevens(16), P256DH: append([]byte{4}, sevens(64)...)}
	case "fcm":
		return &whatsmeow.FCMPushConfig{Token: "token"}
	default:
		return &whatsmeow.APNsPushConfig{Token: "token", VoIPToken: "calls", MsgIDEncKey: sevens(32)}
	}
}
