// Commands about businesses. Each is answered by one `answer` line, in words that are the same from every driver.
package main

import (
	"context"
	"fmt"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

// business carries out a command of this file; handled is false for every other.
func (d *driver) business(ctx context.Context, cli *whatsmeow.Client, c command) (handled bool, err error) {
	var value any
	to, _ := types.ParseJID(c.To)
	switch c.Cmd {
	case "business_profile":
		profile, failed := cli.GetBusinessProfile(ctx, to)
		if failed != nil {
			return true, failed
		}
		words := []string{profile.Address, profile.Email, profile.BusinessHoursTimeZone}
		for _, day := range profile.BusinessHours {
			words = append(words, fmt.Sprintf("%s %s %s-%s", day.DayOfWeek, day.Mode, day.OpenTime, day.CloseTime))
		}
		value = strings.Join(words, ", ")
	case "order":
		order, failed := cli.GetOrderDetails(ctx, c.About, c.Text)
		if failed != nil {
			return true, failed
		}
		items := make([]string, len(order.Products))
		for i, product := range order.Products {
			items[i] = fmt.Sprintf("%s x%d", product.Name, product.Quantity)
		}
		value = fmt.Sprintf("%d %s: %s", order.Price.Total, order.Price.Currency, strings.Join(items, ", "))
	default:
		return false, nil
	}
	d.emit("answer", fields{"ref": c.Ref, "value": value})
	return true, nil
}
