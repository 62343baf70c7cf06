// Commands about newsletters. Each is answered by one `answer` line.
package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

// newsletters carries out a command of this file; handled is false for every other.
func (d *driver) newsletters(ctx context.Context, cli *whatsmeow.Client, c command) (handled bool, err error) {
	var value any
	to, _ := types.ParseJID(c.To)
	number, _ := strconv.Atoi(c.About)
	switch c.Cmd {
	case "newsletter_create":
		made, failed := cli.CreateNewsletter(ctx, whatsmeow.CreateNewsletterParams{
			Name: c.Text, Description: "made by whatsmeow", Picture: []byte{0xff, 0xd8, 0xff, 7},
		})
		if failed != nil {
			return true, failed
		}
		value = made.ID.String()
	case "newsletter_title":
		info, failed := cli.GetNewsletterInfo(ctx, to)
		if failed != nil {
			return true, failed
		}
		value = info.ThreadMeta.Name.Text
	case "newsletter_shows":
		info, failed := cli.GetNewsletterInfo(ctx, to)
		if failed != nil {
			return true, failed
		}
		picture := "bare"
		if shown := info.ThreadMeta.Picture; shown != nil && shown.DirectPath != "" {
			picture = "pictured"
		}
		value = fmt.Sprintf("%s, %s", info.ThreadMeta.Description.Text, picture)
	case "newsletter_follow":
		err = cli.FollowNewsletter(ctx, to)
	case "newsletter_unfollow":
		err = cli.UnfollowNewsletter(ctx, to)
	case "newsletter_mute", "newsletter_unmute":
		err = cli.NewsletterToggleMute(ctx, to, c.Cmd == "newsletter_mute")
	case "newsletter_updates":
		posts, failed := cli.GetNewsletterMessageUpdates(ctx, to, &whatsmeow.GetNewsletterUpdatesParams{Count: 1, After: number})
		if failed != nil {
			return true, failed
		}
		value = inWords(posts)
	case "newsletter_terms":
		// As its documentation says it.
		err = cli.AcceptTOSNotice(ctx, "20601218", "5")
	case "newsletter_watch":
		_, err = cli.NewsletterSubscribeLiveUpdates(ctx, to)
	case "newsletter_react":
		err = cli.NewsletterSendReaction(ctx, to, number, c.Text, "")
	case "newsletter_view":
		err = cli.NewsletterMarkViewed(ctx, to, []types.MessageServerID{number})
	case "newsletter_posts":
		posts, failed := cli.GetNewsletterMessages(ctx, to, nil)
		if failed != nil {
			return true, failed
		}
		value = inWords(posts)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	d.emit("answer", fields{"ref": c.Ref, "value": value})
	return true, nil
}

// inWords says of each message its number, its views and its reactions: `100 2 🐓1`.
func inWords(posts []*types.NewsletterMessage) []string {
	words := make([]string, len(posts))
	for i, post := range posts {
		var reactions []string
		for code, count := range post.ReactionCounts {
			reactions = append(reactions, fmt.Sprintf("%s%d", code, count))
		}
		slices.Sort(reactions)
		words[i] = strings.TrimSpace(fmt.Sprintf("%d %d %s", post.MessageServerID, post.ViewsCount, strings.Join(reactions, " ")))
	}
	return words
}
