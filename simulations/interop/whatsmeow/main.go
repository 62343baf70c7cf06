// Drives an unmodified whatsmeow client by JSON lines: commands on standard input, events on standard
// output, whatsmeow's own log on standard error. ../README.md describes the lines.
//
// The client keeps whatsmeow's own URLs and behaviour; only its HTTP transport leads to the simulated
// WhatsApp, and the exported root key of the Noise certificates is the simulator's.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	_ "github.com/lib/pq"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	waE2E "go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite"
)

// The longest that one command may take before it is reported as failed.
const commandTimeout = 60 * time.Second

// A command line. Which fields count depends on Cmd.
type command struct {
	Cmd          string   `json:"cmd"`
	Ref          string   `json:"ref"`
	To           string   `json:"to"`
	Text         string   `json:"text"`
	Phone        string   `json:"phone"`
	Chat         string   `json:"chat"`
	Sender       string   `json:"sender"`
	IDs          []string `json:"ids"`
	Subject      string   `json:"subject"`
	Participants []string `json:"participants"`
	What         string   `json:"what"`
	On           bool     `json:"on"`
	Kind         string   `json:"kind"`
	About        string   `json:"about"`
	Group        string   `json:"group"`
	Action       string   `json:"action"`
	Path         string   `json:"path"`
	Mime         string   `json:"mime"`
	Trees        []string `json:"trees"`
}

type fields map[string]any

// The driver: one device store, and the client that is connected for it now.
type driver struct {
	container *sqlstore.Container
	http      *http.Client
	level     string

	lock sync.Mutex
	out  *json.Encoder
	cli  *whatsmeow.Client
	// What was sent, for peers that ask again after a reconnect. A test sends few messages.
	sent map[types.MessageID]*waE2E.Message
	// What was received, for messages about it.
	heard map[types.MessageID]*events.Message
}

func main() {
	server := flag.String("url", os.Getenv("WA_URL"), "simulated WhatsApp: wss://host:port or ws://host:port")
	ca := flag.String("ca", os.Getenv("WA_CA"), "PEM file of the authority behind the simulator's TLS certificate")
	root := flag.String("root", os.Getenv("WA_ROOT"), "public root key of the Noise certificates, 64 hex digits")
	db := flag.String("db", os.Getenv("WA_DB"), "SQLite file of the device, or postgres://…")
	level := flag.String("log", cmp.Or(os.Getenv("WA_LOG"), "warn"), "least level of whatsmeow's log: debug, info, warn or error")
	flag.Parse()

	d := &driver{level: strings.ToUpper(*level), out: json.NewEncoder(os.Stdout), sent: map[types.MessageID]*waE2E.Message{}, heard: map[types.MessageID]*events.Message{}}
	// The Signal library prints what it thinks of a message; standard output carries events only.
	os.Stdout = os.Stderr
	if err := d.open(*server, *ca, *root, *db); err != nil {
		d.fail("", err)
		os.Exit(1)
	}
	d.emit("ready", fields{"client": "whatsmeow"})

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			d.fail("", err)
			continue
		}
		if c.Cmd == "quit" {
			break
		}
		d.run(c)
	}
	d.disconnect()
}

func (d *driver) open(server, ca, root, db string) error {
	key, err := hex.DecodeString(root)
	if err != nil || len(key) != 32 {
		return fmt.Errorf("--root must be 64 hex digits")
	}
	whatsmeow.WACertPubKey = [32]byte(key)
	if d.http, err = httpClient(server, ca); err != nil {
		return err
	}
	if strings.HasPrefix(db, "postgres://") {
		d.container, err = sqlstore.New(context.Background(), "postgres", db, waLog.Noop)
		return err
	}
	// The file lives as long as a test: waiting for the disk at each of 800 prekeys buys nothing.
	dsn := "file:" + db + "?_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(0)"
	d.container, err = sqlstore.New(context.Background(), "sqlite", dsn, waLog.Noop)
	return err
}

// httpClient leads every request to the simulator. With TLS the request keeps its host, so that the
// certificate must cover it; without TLS scheme and host are rewritten.
func httpClient(server, ca string) (*http.Client, error) {
	to, err := url.Parse(server)
	if err != nil || to.Host == "" {
		return nil, fmt.Errorf("--url %q is not scheme://host:port", server)
	}
	plain := to.Scheme == "ws" || to.Scheme == "http"
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, to.Host)
	}
	transport := &http.Transport{DialContext: dial}
	if plain {
		return &http.Client{Transport: withoutTLS{transport}}, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca %s holds no certificate", ca)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return &http.Client{Transport: transport}, nil
}

type withoutTLS struct{ inner http.RoundTripper }

func (w withoutTLS) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Scheme = "http"
	return w.inner.RoundTrip(request)
}

func (d *driver) emit(event string, f fields) {
	if f == nil {
		f = fields{}
	}
	f["event"] = event
	d.lock.Lock()
	defer d.lock.Unlock()
	// A reader that went away ends this process by the closed standard input.
	_ = d.out.Encode(f)
}

func (d *driver) fail(ref string, err error) {
	d.emit("error", fields{"ref": ref, "message": err.Error()})
}

func (d *driver) client() *whatsmeow.Client {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.cli
}

func (d *driver) disconnect() {
	if cli := d.client(); cli != nil {
		cli.Disconnect()
	}
}

// run starts a command. What answers late does so from its own goroutine, so that commands overlap.
func (d *driver) run(c command) {
	if c.Cmd == "connect" {
		d.connect(c)
		return
	}
	if c.Cmd == "recode" {
		d.emit("recoded", fields{"ref": c.Ref, "trees": recode(c.Trees)})
		return
	}
	cli := d.client()
	if cli == nil {
		d.fail(c.Ref, fmt.Errorf("%s before connect", c.Cmd))
		return
	}
	if c.Cmd == "disconnect" {
		cli.Disconnect()
		d.emit("disconnected", fields{"reason": "asked"})
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		if err := d.call(ctx, cli, c); err != nil {
			d.fail(c.Ref, err)
		}
	}()
}

func (d *driver) call(ctx context.Context, cli *whatsmeow.Client, c command) error {
	switch c.Cmd {
	case "send":
		to, err := types.ParseJID(c.To)
		if err != nil {
			return err
		}
		return d.send(ctx, cli, c, to, &waE2E.Message{Conversation: proto.String(c.Text)})
	case "say":
		return d.say(ctx, cli, c)
	case "members":
		return d.members(ctx, cli, c)
	case "file":
		return d.file(ctx, cli, c)
	case "read", "played":
		chat, err := types.ParseJID(c.Chat)
		if err != nil {
			return err
		}
		sender, err := types.ParseJID(c.Sender)
		if err != nil {
			return err
		}
		how := types.ReceiptTypeRead
		if c.Cmd == "played" {
			how = types.ReceiptTypePlayed
		}
		return cli.MarkRead(ctx, c.IDs, time.Now(), chat, sender, how)
	case "change":
		return d.change(ctx, cli, c)
	case "pair_code":
		code, err := cli.PairPhone(ctx, c.Phone, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
		if err != nil {
			return err
		}
		d.emit("pair_code", fields{"ref": c.Ref, "code": code})
	case "passkey":
		return d.answerPasskey(ctx, cli, c)
	case "expect":
		cli.PrePairCallback = func(jid types.JID, _, _ string) bool { return jid.User == c.Phone }
		d.emit("answer", fields{"ref": c.Ref, "value": nil})
	case "group":
		members := make([]types.JID, len(c.Participants))
		for i, text := range c.Participants {
			var err error
			if members[i], err = types.ParseJID(text); err != nil {
				return err
			}
		}
		group, err := cli.CreateGroup(ctx, whatsmeow.ReqCreateGroup{Name: c.Subject, Participants: members})
		if err != nil {
			return err
		}
		d.emit("group", fields{"ref": c.Ref, "jid": group.JID.String(), "subject": group.Name})
	case "logout":
		if err := cli.Logout(ctx); err != nil {
			return err
		}
		d.emit("disconnected", fields{"reason": "logged_out"})
	default:
		if handled, err := d.people(ctx, cli, c); handled {
			return err
		}
		if handled, err := d.newsletters(ctx, cli, c); handled {
			return err
		}
		if handled, err := d.business(ctx, cli, c); handled {
			return err
		}
		if handled, err := d.groups(ctx, cli, c); handled {
			return err
		}
		return fmt.Errorf("unknown command %q", c.Cmd)
	}
	return nil
}

// connect makes a new client from what is stored: the paired device, or a new one that shows QR codes.
func (d *driver) connect(c command) {
	ctx := context.Background()
	d.disconnect()
	device, err := d.container.GetFirstDevice(ctx)
	if err != nil {
		d.fail(c.Ref, err)
		return
	}
	cli := whatsmeow.NewClient(device, stderrLog{level: d.level})
	// Otherwise it says nothing of a collection that it reads for the first time.
	cli.EmitAppStateEventsOnFullSync = true
	cli.SendReportingTokens = true
	cli.SetPreLoginHTTPClient(d.http)
	cli.SetWebsocketHTTPClient(d.http)
	cli.SetMediaHTTPClient(d.http)
	cli.GetMessageForRetry = func(_, _ types.JID, id types.MessageID) *waE2E.Message {
		d.lock.Lock()
		defer d.lock.Unlock()
		return d.sent[id]
	}
	cli.AddEventHandler(func(event any) { d.onEvent(cli, event) })
	d.lock.Lock()
	d.cli = cli
	d.lock.Unlock()
	if device.ID == nil {
		codes, err := cli.GetQRChannel(ctx)
		if err != nil {
			d.fail(c.Ref, err)
			return
		}
		go d.showCodes(codes)
	}
	if err := cli.Connect(); err != nil {
		d.fail(c.Ref, err)
	}
}

func (d *driver) showCodes(codes <-chan whatsmeow.QRChannelItem) {
	for item := range codes {
		switch item.Event {
		case whatsmeow.QRChannelEventCode:
			d.emit("qr", fields{"code": item.Code})
		case whatsmeow.QRChannelEventPasskeyRequest:
			d.passkeyAsked(item)
		case "success":
		case whatsmeow.QRChannelEventError:
			if !errors.Is(item.Error, whatsmeow.ErrPairRejectedLocally) {
				d.emit("error", fields{"message": "pairing: " + item.Error.Error()})
				continue
			}
			d.emit("disconnected", fields{"reason": "refused"})
		default:
			d.emit("error", fields{"message": "pairing: " + item.Event})
		}
	}
}

func (d *driver) onEvent(cli *whatsmeow.Client, event any) {
	switch v := event.(type) {
	case *events.PairSuccess:
		d.emit("paired", fields{"pn": v.ID.String(), "lid": v.LID.String()})
	case *events.Connected:
		d.emit("connected", fields{"pn": cli.Store.GetJID().String(), "lid": cli.Store.GetLID().String()})
	case *events.Message:
		d.lock.Lock()
		d.heard[v.Info.ID] = v
		d.lock.Unlock()
		d.received(cli, v)
		text := plain(v.Message)
		if kind, what, about := d.describe(cli, v); kind != "" {
			d.emit("said", fields{
				"id": v.Info.ID, "kind": kind, "text": what, "about": about, "detail": detail(v), "from_me": v.Info.IsFromMe,
				"chat": v.Info.Chat.String(), "sender": v.Info.Sender.String(),
			})
		}
		if text == "" || v.IsEdit || v.Info.Edit == types.EditAttributeAdminEdit {
			return
		}
		alt := v.Info.SenderAlt
		if v.Info.IsFromMe {
			alt = v.Info.RecipientAlt
		}
		d.emit("message", fields{
			"id": v.Info.ID, "text": text, "from_me": v.Info.IsFromMe,
			"chat": v.Info.Chat.String(), "sender": v.Info.Sender.String(), "alt": jidText(alt),
			"push_name": v.Info.PushName, "verified": verified(v.Info),
		})
	case *events.UndecryptableMessage:
		d.emit("undecryptable", fields{"id": v.Info.ID, "chat": v.Info.Chat.String(), "sender": v.Info.Sender.String()})
	case *events.Receipt:
		kind := string(v.Type)
		if v.Type == types.ReceiptTypeDelivered {
			kind = "delivered"
		}
		d.emit("receipt", fields{
			"ids": v.MessageIDs, "type": kind, "chat": v.Chat.String(), "sender": v.Sender.String(),
		})
	case *events.Disconnected:
		d.emit("disconnected", fields{"reason": "closed"})
	case *events.StreamReplaced:
		d.emit("disconnected", fields{"reason": "replaced"})
	case *events.LoggedOut:
		d.emit("disconnected", fields{"reason": "logged_out", "code": int(v.Reason)})
	case *events.StreamError:
		d.emit("error", fields{"message": "stream error " + v.Code})
	case *events.ConnectFailure:
		d.emit("error", fields{"message": "connect failure " + v.Reason.NumberString()})
	case *events.ClientOutdated:
		d.emit("error", fields{"message": "client outdated"})
	case *events.PairError:
		d.emit("error", fields{"message": "pairing: " + v.Error.Error()})
	default:
		d.onChat(event)
		d.onPeople(event)
		d.onGroup(event)
	}
}

// recode reads stanzas with whatsmeow's codec and writes them again; hexadecimal, with the flags byte.
func recode(trees []string) []string {
	done := make([]string, len(trees))
	for i, tree := range trees {
		var node *waBinary.Node
		data, err := hex.DecodeString(tree)
		if err == nil {
			data, err = waBinary.Unpack(data)
		}
		if err == nil {
			node, err = waBinary.Unmarshal(data)
		}
		if err == nil {
			data, err = waBinary.Marshal(*node)
		}
		done[i] = hex.EncodeToString(data)
		if err != nil {
			done[i] = "error: " + err.Error()
		}
	}
	return done
}

// verified is the name of a business, as WhatsApp has certified it.
func verified(info types.MessageInfo) string {
	if info.VerifiedName == nil {
		return ""
	}
	return info.VerifiedName.Details.GetVerifiedName()
}

func jidText(jid types.JID) string {
	if jid.IsEmpty() {
		return ""
	}
	return jid.String()
}
