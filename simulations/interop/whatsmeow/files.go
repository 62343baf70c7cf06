// Files, with whatsmeow's own upload and download.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waCommon"
	waE2E "go.mau.fi/whatsmeow/proto/waE2E"
	waMmsRetry "go.mau.fi/whatsmeow/proto/waMmsRetry"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

// file uploads a file and sends it.
func (d *driver) file(ctx context.Context, cli *whatsmeow.Client, c command) error {
	to, err := types.ParseJID(c.To)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(c.Path)
	if err != nil {
		return err
	}
	kinds := map[string]whatsmeow.MediaType{
		"image": whatsmeow.MediaImage, "view_once": whatsmeow.MediaImage, "edited_caption": whatsmeow.MediaImage,
		"located": whatsmeow.MediaImage, "product": whatsmeow.MediaImage, "sticker": whatsmeow.MediaImage, "video": whatsmeow.MediaVideo,
		"note": whatsmeow.MediaVideo, "audio": whatsmeow.MediaAudio, "voice": whatsmeow.MediaAudio,
		"document": whatsmeow.MediaDocument, "sticker_pack": whatsmeow.MediaStickerPack,
	}
	kind, known := kinds[c.Kind]
	if !known {
		return fmt.Errorf("unknown kind of file %q", c.Kind)
	}
	// Nothing is encrypted in a newsletter.
	upload := cli.Upload
	if to.Server == types.NewsletterServer {
		upload = cli.UploadNewsletter
	}
	up, err := upload(ctx, data, kind)
	if err != nil {
		return err
	}
	message := &waE2E.Message{}
	switch c.Kind {
	case "image", "view_once", "edited_caption", "located", "product":
		message.ImageMessage = &waE2E.ImageMessage{
			Caption: proto.String(c.Text), Mimetype: proto.String(c.Mime), URL: &up.URL, DirectPath: &up.DirectPath,
			MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256, FileSHA256: up.FileSHA256, FileLength: &up.FileLength,
		}
	case "sticker":
		message.StickerMessage = &waE2E.StickerMessage{
			Mimetype: proto.String(c.Mime), URL: &up.URL, DirectPath: &up.DirectPath,
			MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256, FileSHA256: up.FileSHA256, FileLength: &up.FileLength,
		}
	case "sticker_pack":
		message.StickerPackMessage = &waE2E.StickerPackMessage{
			StickerPackID: proto.String("hens"), Name: proto.String("Hens"), Publisher: proto.String("whatsmeow"),
			Caption: proto.String(c.Text), Stickers: []*waE2E.StickerPackMessage_Sticker{{FileName: proto.String("hen.webp")}},
			DirectPath: &up.DirectPath, MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256,
			FileSHA256: up.FileSHA256, FileLength: &up.FileLength,
		}
	case "video", "note":
		video := &waE2E.VideoMessage{
			Caption: proto.String(c.Text), Mimetype: proto.String(c.Mime), URL: &up.URL, DirectPath: &up.DirectPath,
			MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256, FileSHA256: up.FileSHA256, FileLength: &up.FileLength,
		}
		if c.Kind == "note" {
			message.PtvMessage = video
		} else {
			message.VideoMessage = video
		}
	case "audio", "voice":
		message.AudioMessage = &waE2E.AudioMessage{
			Mimetype: proto.String(c.Mime), PTT: proto.Bool(c.Kind == "voice"), URL: &up.URL, DirectPath: &up.DirectPath,
			MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256, FileSHA256: up.FileSHA256, FileLength: &up.FileLength,
		}
	case "document":
		message.DocumentMessage = &waE2E.DocumentMessage{
			Caption: proto.String(c.Text), FileName: proto.String("file.bin"), Mimetype: proto.String(c.Mime),
			URL: &up.URL, DirectPath: &up.DirectPath,
			MediaKey: up.MediaKey, FileEncSHA256: up.FileEncSHA256, FileSHA256: up.FileSHA256, FileLength: &up.FileLength,
		}
	}
	if c.Kind == "edited_caption" {
		message = cli.BuildEdit(to, c.About, message)
	} else if c.About != "" {
		album := &waCommon.MessageKey{RemoteJID: proto.String(to.String()), FromMe: proto.Bool(true), ID: proto.String(c.About)}
		message.MessageContextInfo = &waE2E.MessageContextInfo{MessageAssociation: &waE2E.MessageAssociation{
			AssociationType: waE2E.MessageAssociation_MEDIA_ALBUM.Enum(), ParentMessageKey: album,
		}}
	}
	if c.Kind == "product" {
		message = &waE2E.Message{ProductMessage: &waE2E.ProductMessage{
			Product: &waE2E.ProductMessage_ProductSnapshot{
				ProductImage: message.ImageMessage, ProductID: proto.String("1"), Title: proto.String(c.Text),
			},
			BusinessOwnerJID: proto.String(cli.Store.GetJID().ToNonAD().String()),
		}}
	}
	if c.Kind == "located" {
		at := func(x, y float64) *waE2E.Point { return &waE2E.Point{X: &x, Y: &y} }
		place := &waE2E.Location{
			DegreesLatitude: proto.Float64(52.5), DegreesLongitude: proto.Float64(13.5), Name: proto.String("Alex"),
		}
		message.ImageMessage.InteractiveAnnotations = []*waE2E.InteractiveAnnotation{{
			PolygonVertices: []*waE2E.Point{at(0.25, 0.5), at(0.75, 0.5), at(0.5, 1)},
			Action:          &waE2E.InteractiveAnnotation_Location{Location: place},
		}}
	}
	if c.Kind == "view_once" {
		message = &waE2E.Message{ViewOnceMessage: &waE2E.FutureProofMessage{Message: message}}
	}
	id := cli.GenerateMessageID()
	d.lock.Lock()
	d.sent[id] = message
	d.lock.Unlock()
	extra := whatsmeow.SendRequestExtra{ID: id}
	if to.Server == types.NewsletterServer {
		extra.MediaHandle = up.Handle
	}
	answer, err := cli.SendMessage(ctx, to, message, extra)
	if err != nil {
		return err
	}
	d.emit("sent", fields{"ref": c.Ref, "id": answer.ID})
	return nil
}

// received fetches the file of a message, if it has one, and says what it is; from the phone when the servers have
// dropped it.
func (d *driver) received(cli *whatsmeow.Client, v *events.Message) {
	var from whatsmeow.DownloadableMessage
	kind, mime, caption := "", "", ""
	switch m := v.Message; {
	case m.GetImageMessage() != nil:
		from, kind = m.GetImageMessage(), "image"
		mime, caption = m.GetImageMessage().GetMimetype(), m.GetImageMessage().GetCaption()
	case m.GetProductMessage().GetProduct().GetProductImage() != nil:
		picture := m.GetProductMessage().GetProduct().GetProductImage()
		from, kind, mime = picture, "product", picture.GetMimetype()
	case m.GetStickerMessage() != nil:
		from, kind, mime = m.GetStickerMessage(), "sticker", m.GetStickerMessage().GetMimetype()
	case m.GetStickerPackMessage() != nil:
		from, kind, mime = m.GetStickerPackMessage(), "sticker_pack", "application/zip"
		caption = m.GetStickerPackMessage().GetCaption()
	case m.GetVideoMessage() != nil:
		from, kind = m.GetVideoMessage(), "video"
		mime, caption = m.GetVideoMessage().GetMimetype(), m.GetVideoMessage().GetCaption()
	case m.GetPtvMessage() != nil:
		from, kind, mime = m.GetPtvMessage(), "note", m.GetPtvMessage().GetMimetype()
	case m.GetAudioMessage() != nil:
		from, kind, mime = m.GetAudioMessage(), "audio", m.GetAudioMessage().GetMimetype()
		if m.GetAudioMessage().GetPTT() {
			kind = "voice"
		}
	case m.GetDocumentMessage() != nil:
		from, kind = m.GetDocumentMessage(), "document"
		mime, caption = m.GetDocumentMessage().GetMimetype(), m.GetDocumentMessage().GetCaption()
	default:
		return
	}
	if v.IsViewOnce {
		kind = "view_once"
	}
	about := ""
	if of := v.Message.GetMessageContextInfo().GetMessageAssociation(); of.GetAssociationType() == waE2E.MessageAssociation_MEDIA_ALBUM {
		about = of.GetParentMessageKey().GetID()
	}
	shown := shownOf(from)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		data, err := cli.Download(ctx, from)
		if errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith404) || errors.Is(err, whatsmeow.ErrMediaDownloadFailedWith410) {
			data, err = d.again(ctx, cli, &v.Info, from)
		}
		if err != nil {
			d.fail("", fmt.Errorf("download of %s %s: %w", kind, v.Info.ID, err))
			return
		}
		sum := sha256.Sum256(data)
		d.emit("file", fields{
			"id": v.Info.ID, "kind": kind, "mime": mime, "caption": caption, "size": len(data),
			"sha256": hex.EncodeToString(sum[:]), "from_me": v.Info.IsFromMe, "chat": v.Info.Chat.String(),
			"about": about, "shown": shown,
		})
	}()
}

// stickers fetches a pack that everybody may take, with its files: its name, who made it, and the emojis and hash of each.
func stickers(ctx context.Context, cli *whatsmeow.Client, id string) ([]string, error) {
	pack, err := cli.FetchStickerPack(ctx, id)
	if err != nil {
		return nil, err
	}
	words := []string{pack.Name, pack.Publisher}
	for _, sticker := range pack.Stickers {
		data, err := cli.Download(ctx, sticker)
		if err != nil {
			return nil, err
		}
		words = append(words, fmt.Sprintf("%s %x", strings.Join(sticker.Emojis, ""), sha256.Sum256(data)))
	}
	return words, nil
}

// shownOf is what can be shown of a file before it is there.
func shownOf(file any) fields {
	shown := fields{"seconds": 0, "width": 0, "height": 0, "waveform": "", "place": ""}
	if lasting, is := file.(interface{ GetSeconds() uint32 }); is {
		shown["seconds"] = lasting.GetSeconds()
	}
	if sized, is := file.(interface {
		GetWidth() uint32
		GetHeight() uint32
	}); is {
		shown["width"], shown["height"] = sized.GetWidth(), sized.GetHeight()
	}
	if annotated, is := file.(interface {
		GetInteractiveAnnotations() []*waE2E.InteractiveAnnotation
	}); is {
		for _, one := range annotated.GetInteractiveAnnotations() {
			shown["place"] = place(one.GetLocation()) + " " + one.GetLocation().GetName()
		}
	}
	if heard, is := file.(interface{ GetWaveform() []byte }); is {
		shown["waveform"] = hex.EncodeToString(heard.GetWaveform())
	}
	return shown
}

// again has the phone upload a file that the servers have dropped, and fetches it from there.
func (d *driver) again(ctx context.Context, cli *whatsmeow.Client, info *types.MessageInfo, from whatsmeow.DownloadableMessage) ([]byte, error) {
	answered := make(chan *events.MediaRetry, 1)
	handler := cli.AddEventHandler(func(event any) {
		if v, is := event.(*events.MediaRetry); is && v.MessageID == info.ID {
			select {
			case answered <- v:
			default:
			}
		}
	})
	defer cli.RemoveEventHandler(handler)
	if err := cli.SendMediaRetryReceipt(ctx, info, from.GetMediaKey()); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("the phone does not answer: %w", ctx.Err())
	case v := <-answered:
		answer, err := whatsmeow.DecryptMediaRetryNotification(v, from.GetMediaKey())
		if err != nil {
			return nil, err
		}
		if answer.GetResult() != waMmsRetry.MediaRetryNotification_SUCCESS {
			return nil, fmt.Errorf("the phone says %s", answer.GetResult())
		}
		return cli.DownloadMediaWithPath(ctx, answer.GetDirectPath(), from.GetFileEncSHA256(), from.GetFileSHA256(),
			from.GetMediaKey(), whatsmeow.GetMediaType(from), "", false)
	}
}
