// Commands about settings of groups, communities and personal invites. Each is answered by one `answer` line.
package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

// groups carries out a command of this file; handled is false for every other.
func (d *driver) groups(ctx context.Context, cli *whatsmeow.Client, c command) (handled bool, err error) {
	var value any
	to, _ := types.ParseJID(c.To)
	group, _ := types.ParseJID(c.Group)
	sender, _ := types.ParseJID(c.Sender)
	expiration, _ := strconv.ParseInt(c.About, 10, 64)
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
		members := make([]types.JID, len(c.Participants))
		for i, text := range c.Participants {
			members[i], _ = types.ParseJID(text)
		}
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
	}
	return fmt.Errorf("unknown setting %q", c.What)
}
