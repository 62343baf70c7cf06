package main

import (
	"fmt"
	"strings"

	waE2E "go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types/events"
)

// detail is what a message of a kind says beside its text; ../README.md has the words.
func detail(v *events.Message) string {
	m := v.Message
	for _, poll := range polls(m) {
		if poll != nil && poll.EndTime != nil {
			return fmt.Sprint(poll.GetEndTime(), " ", poll.GetHideParticipantName())
		}
	}
	switch {
	case m.GetLocationMessage() != nil:
		return place(m.GetLocationMessage())
	case m.GetLiveLocationMessage() != nil:
		return place(m.GetLiveLocationMessage())
	case m.GetContactMessage() != nil:
		return m.GetContactMessage().GetVcard()
	case m.GetEventMessage() != nil:
		return fmt.Sprint(m.GetEventMessage().GetStartTime())
	case m.GetListMessage().GetProductListInfo() != nil:
		info := m.GetListMessage().GetProductListInfo()
		parts := []string{m.GetListMessage().GetButtonText()}
		for _, section := range info.GetProductSections() {
			for _, product := range section.GetProducts() {
				parts = append(parts, section.GetTitle()+": "+product.GetProductID())
			}
		}
		return strings.Join(parts, "; ") + " of " + info.GetBusinessOwnerJID()
	case m.GetOrderMessage() != nil:
		order := m.GetOrderMessage()
		return fmt.Sprintf("%s %s of %s: %d, %d %s", order.GetOrderID(), order.GetToken(), order.GetSellerJID(),
			order.GetItemCount(), order.GetTotalAmount1000(), order.GetTotalCurrencyCode())
	case m.GetListMessage() != nil:
		parts := []string{m.GetListMessage().GetButtonText()}
		for _, section := range m.GetListMessage().GetSections() {
			var rows []string
			for _, row := range section.GetRows() {
				rows = append(rows, row.GetRowID()+" "+row.GetTitle())
			}
			parts = append(parts, section.GetTitle()+": "+strings.Join(rows, ", "))
		}
		return strings.Join(parts, "; ")
	case m.GetButtonsMessage() != nil:
		var buttons []string
		for _, button := range m.GetButtonsMessage().GetButtons() {
			buttons = append(buttons, button.GetButtonID()+" "+button.GetButtonText().GetDisplayText())
		}
		return strings.Join(buttons, ", ")
	case m.GetListResponseMessage() != nil:
		return m.GetListResponseMessage().GetSingleSelectReply().GetSelectedRowID()
	case m.GetButtonsResponseMessage() != nil:
		return m.GetButtonsResponseMessage().GetSelectedButtonID()
	case m.GetProductMessage() != nil:
		return m.GetProductMessage().GetProduct().GetProductID() + " of " + m.GetProductMessage().GetBusinessOwnerJID()
	case m.GetGroupInviteMessage() != nil:
		return m.GetGroupInviteMessage().GetGroupJID() + " " + m.GetGroupInviteMessage().GetInviteCode()
	case m.GetExtendedTextMessage().GetBackgroundArgb() != 0:
		text := m.GetExtendedTextMessage()
		return fmt.Sprintf("%08x %08x %d", text.GetBackgroundArgb(), text.GetTextArgb(), text.GetFont())
	case m.GetPinInChatMessage() != nil:
		return fmt.Sprint(m.GetMessageContextInfo().GetMessageAddOnDurationInSecs())
	}
	return ""
}

// polls are what a message asks, in whichever version; all but one are nil.
func polls(m *waE2E.Message) []*waE2E.PollCreationMessage {
	return []*waE2E.PollCreationMessage{m.GetPollCreationMessage(), m.GetPollCreationMessageV2(), m.GetPollCreationMessageV3()}
}

func place(at interface {
	GetDegreesLatitude() float64
	GetDegreesLongitude() float64
}) string {
	return fmt.Sprint(at.GetDegreesLatitude(), " ", at.GetDegreesLongitude())
}

// firstRow is that of a list; empty when it is none.
func firstRow(m *waE2E.Message) string {
	for _, section := range m.GetListMessage().GetSections() {
		for _, row := range section.GetRows() {
			return row.GetRowID()
		}
	}
	return ""
}

// firstButton is that of a message with buttons; empty when it has none.
func firstButton(m *waE2E.Message) string {
	for _, button := range m.GetButtonsMessage().GetButtons() {
		return button.GetButtonID()
	}
	return ""
}
