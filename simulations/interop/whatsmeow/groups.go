// Commands about groups, communities and ways into them, each answered by one `answer` line; and what others change of groups.
package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

// groups carries out a command of this file; handled is false for every other.
func (d *driver) groups(ctx context.Context, cli *whatsmeow.Client, c command) (handled bool, err error) {
	var value any
	to, _ := types.ParseJID(c.To)
	group, _ := types.ParseJID(c.Group)
	sender, _ := types.ParseJID(c.Sender)
	expiration, _ := strconv.ParseInt(c.About, 10, 64)
	members := make([]types.JID, len(c.Participants))
	for i, text := range c.Participants {
		members[i], _ = types.ParseJID(text)
	}
	switch c.Cmd {
	case "group_set":
		err = d.setGroup(ctx, cli, to, c)
	// The settings that are on, in words.
	case "group_shows":
		info, failed := cli.GetGroupInfo(ctx, to)
		if failed != nil {
			return true, failed
		}
		on := []string{}
		for word, is := range map[string]bool{
			"announce": info.IsAnnounce, "locked": info.IsLocked, "approval": info.IsJoinApprovalRequired,
			"members_add": info.MemberAddMode == types.GroupMemberAddModeAllMember,
		} {
			if is {
				on = append(on, word)
			}
		}
		slices.Sort(on)
		value = on
	case "community":
		made, failed := cli.CreateGroup(ctx, whatsmeow.ReqCreateGroup{Name: c.Text, GroupParent: types.GroupParent{IsParent: true}})
		if failed != nil {
			return true, failed
		}
		value = made.JID.String()
	case "subgroup":
		made, failed := cli.CreateGroup(ctx, whatsmeow.ReqCreateGroup{
			Name: c.Text, Participants: members, GroupLinkedParent: types.GroupLinkedParent{LinkedParentJID: to},
		})
		if failed != nil {
			return true, failed
		}
		value = made.JID.String()
	case "link":
		if c.On {
			err = cli.LinkGroup(ctx, to, group)
		} else {
			err = cli.UnlinkGroup(ctx, to, group)
		}
	case "subgroups":
		found, failed := cli.GetSubGroups(ctx, to)
		if failed != nil {
			return true, failed
		}
		names := []string{}
		for _, one := range found {
			names = append(names, one.JID.String())
		}
		value = names
	case "community_people":
		found, failed := cli.GetLinkedGroupsParticipants(ctx, to)
		if failed != nil {
			return true, failed
		}
		value = len(found)
	case "only_invited":
		_, err = cli.SetPrivacySetting(ctx, types.PrivacySettingTypeGroupAdd, types.PrivacySettingNone)
	case "join_requests":
		waiting, failed := cli.GetGroupRequestParticipants(ctx, to)
		if failed != nil {
			return true, failed
		}
		value = len(waiting)
	case "join":
		_, err = cli.JoinGroupWithLink(ctx, c.Text)
	case "answer_join":
		answer := whatsmeow.ParticipantChangeReject
		if c.On {
			answer = whatsmeow.ParticipantChangeApprove
		}
		var done []types.GroupParticipant
		if done, err = cli.UpdateGroupRequestParticipants(ctx, to, members, answer); err == nil && len(done) > 0 && done[0].Error != 0 {
			err = fmt.Errorf("refused with %d", done[0].Error)
		}
	case "leave":
		err = cli.LeaveGroup(ctx, to)
	case "group_link":
		link, failed := cli.GetGroupInviteLink(ctx, to, c.On)
		if failed != nil {
			return true, failed
		}
		value = strings.TrimPrefix(link, whatsmeow.InviteLinkPrefix)
	case "invite_info":
		info, failed := cli.GetGroupInfoFromInvite(ctx, to, sender, c.Text, expiration)
		if failed != nil {
			return true, failed
		}
		value = info.Name
	case "invite_join":
		err = cli.JoinGroupWithInvite(ctx, to, sender, c.Text, expiration)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	d.emit("answer", fields{"ref": c.Ref, "value": value})
	return true, nil
}

func (d *driver) setGroup(ctx context.Context, cli *whatsmeow.Client, group types.JID, c command) error {
	switch c.What {
	case "announce":
		return cli.SetGroupAnnounce(ctx, group, c.On)
	case "locked":
		return cli.SetGroupLocked(ctx, group, c.On)
	case "approval":
		return cli.SetGroupJoinApprovalMode(ctx, group, c.On)
	case "members_add":
		mode := types.GroupMemberAddModeAdmin
		if c.On {
			mode = types.GroupMemberAddModeAllMember
		}
		return cli.SetGroupMemberAddMode(ctx, group, mode)
	case "subject":
		return cli.SetGroupName(ctx, group, c.Text)
	case "description":
		return cli.SetGroupTopic(ctx, group, "", "", c.Text)
	case "timer":
		seconds, err := strconv.Atoi(c.Text)
		if err != nil {
			return err
		}
		return cli.SetDisappearingTimer(ctx, group, time.Duration(seconds)*time.Second, time.Time{})
	}
	return fmt.Errorf("unknown setting %q", c.What)
}

// onGroup tells what others have changed of a group. Of requests to join, and of who adds members, the library tells nothing.
func (d *driver) onGroup(event any) {
	v, is := event.(*events.GroupInfo)
	if !is {
		return
	}
	say := func(what string, on bool, text string) {
		d.emit("chat", fields{"what": what, "chat": v.JID.String(), "on": on, "text": text})
	}
	if v.Name != nil {
		say("subject", true, v.Name.Name)
	}
	if v.Topic != nil {
		say("description", !v.Topic.TopicDeleted, v.Topic.Topic)
	}
	if v.Ephemeral != nil {
		say("timer", v.Ephemeral.IsEphemeral, fmt.Sprint(v.Ephemeral.DisappearingTimer))
	}
	if v.Announce != nil {
		say("announce", v.Announce.IsAnnounce, "")
	}
	if v.Locked != nil {
		say("locked", v.Locked.IsLocked, "")
	}
	if v.MembershipApprovalMode != nil {
		say("approval", v.MembershipApprovalMode.IsJoinApprovalRequired, "")
	}
	if v.NewInviteLink != nil {
		say("group_link", true, strings.TrimPrefix(*v.NewInviteLink, whatsmeow.InviteLinkPrefix))
	}
	for _, who := range v.Promote {
		say("admin", true, who.String())
	}
	for _, who := range v.Demote {
		say("admin", false, who.String())
	}
	for _, who := range v.Join {
		say("member", true, who.String())
	}
	for _, who := range v.Leave {
		say("member", false, who.String())
	}
}
