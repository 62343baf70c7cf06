// Pairing with an account that has a passkey: the options go out as an event, the credential comes in as a command.
package main

import (
	"context"
	"encoding/json"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

func (d *driver) passkeyAsked(item whatsmeow.QRChannelItem) {
	options, err := json.Marshal(item.PasskeyRequest.PublicKey)
	if err != nil {
		d.fail("", err)
		return
	}
	d.emit("passkey", fields{"options": string(options)})
}

// answerPasskey hands over what an authenticator answered. whatsmeow confirms by itself, because it has proved that
// the scanned code was its own.
func (d *driver) answerPasskey(ctx context.Context, cli *whatsmeow.Client, c command) error {
	var credential types.WebAuthnResponse
	if err := json.Unmarshal([]byte(c.Text), &credential); err != nil {
		return err
	}
	return cli.SendPasskeyResponse(ctx, &credential)
}
