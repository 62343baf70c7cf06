// Drives an unmodified Baileys client by JSON lines: commands on standard input, events on standard
// output, Baileys' own log on standard error. ../README.md describes the lines.
//
// As an ordinary application does, it makes a new socket after a lost connection, and answers peers that
// ask for a message again from what it sent.
import { Console } from 'node:console'
import fs from 'node:fs'
import https from 'node:https'
import readline from 'node:readline'
import { parseArgs } from 'node:util'
import makeWASocket, {
  decodeBinaryNode,
  DisconnectReason,
  encodeBinaryNode,
  generateMessageIDV2,
  proto,
  useMultiFileAuthState,
  WA_CERT_DETAILS,
} from 'baileys'
import pino from 'pino'
import { answerInWords, openAnswer, optionsBeside } from './beside.mjs'
import { business } from './business.mjs'
import * as chats from './chats.mjs'
import { groups, onGroups } from './groups.mjs'
import { changed, newsletters } from './newsletters.mjs'
import { onPeople, people } from './people.mjs'

import { contentOf, describe, messageAbout, openVote, rawContent } from './kinds.mjs'
import { detail } from './details.mjs'
import * as files from './files.mjs'

const RECONNECT_DELAY_MS = 300
// A QR code is shown for a minute; the clients' own first interval.
const QR_TIMEOUT_MS = 60_000

const { values: flags } = parseArgs({
  options: {
    url: { type: 'string', default: process.env.WA_URL },
    ca: { type: 'string', default: process.env.WA_CA },
    root: { type: 'string', default: process.env.WA_ROOT },
    db: { type: 'string', default: process.env.WA_DB },
    name: { type: 'string', default: 'Baileys' },
    log: { type: 'string', default: process.env.WA_LOG || 'warn' },
  },
})

// The Signal library prints to the console; standard output carries events only.
globalThis.console = new Console(process.stderr, process.stderr)

const emit = (event, fields = {}) => process.stdout.write(JSON.stringify({ ...fields, event }) + '\n')
const fail = (ref, error) => emit('error', { ref: ref ?? '', message: String(error?.message ?? error) })
const logger = pino({ level: flags.log }, pino.destination(2))

const sent = new Map()
// What was received, for messages about it.
const heard = new Map()
// What is being written to the device's folder; the process must not end before.
const writing = new Set()
let auth
let sock
let wanted = false
// Whether it reads what the phone tells of the past.
let reading = false

const media = flags.ca ? files.transport(flags.url, flags.ca) : {}

function server() {
  const url = new URL(flags.url)
  const secure = url.protocol === 'wss:' || url.protocol === 'https:'
  const agent = secure ? new https.Agent({ ca: fs.readFileSync(flags.ca), servername: 'web.whatsapp.com' }) : undefined
  return { waWebSocketUrl: `${secure ? 'wss' : 'ws'}://${url.host}/ws/chat`, agent }
}

// Reads the stored device, or makes a new one, which will show QR codes.
async function connect({ history }) {
  wanted = true
  reading = !!history
  sock?.end(undefined)
  auth = await useMultiFileAuthState(flags.db)
  const { keys } = auth.state
  const set = keys.set.bind(keys)
  keys.set = data => written(set(data))
  open()
}

function written(promise) {
  writing.add(promise)
  return promise.finally(() => writing.delete(promise))
}

function open() {
  const socket = makeWASocket({
    ...server(),
    ...media,
    auth: auth.state,
    logger,
    pushName: flags.name,
    qrTimeout: QR_TIMEOUT_MS,
    // When it shall, Baileys holds back what came from the backlog for 20 s, waiting for a history.
    shouldSyncHistoryMessage: () => reading,
    getMessage: async key => sent.get(key.id),
    // A `message` from ourselves is then always a copy of what another device of the account sent.
    emitOwnEvents: false,
  })
  sock = socket
  socket.ev.on('creds.update', () => written(auth.saveCreds()))
  socket.ev.on('connection.update', update => socket === sock && onConnection(socket, update))
  socket.ev.on('messages.upsert', ({ messages }) => messages.forEach(onMessage))
  socket.ev.on('messages.update', updates => updates.forEach(onUpdate))
  socket.ev.on('message-receipt.update', updates => updates.forEach(onReceipt))
  chats.watch(socket, emit)
  onPeople(socket, emit)
  onGroups(socket, emit)
}

function onConnection(socket, { connection, qr, isNewLogin, lastDisconnect }) {
  if (qr) emit('qr', { code: qr })
  if (isNewLogin) emit('paired', identity())
  if (connection === 'open') emit('connected', identity())
  if (connection !== 'close') return
  const code = lastDisconnect?.error?.output?.statusCode
  if (code === DisconnectReason.restartRequired) return open()
  const final = {
    [DisconnectReason.loggedOut]: 'logged_out',
    [DisconnectReason.connectionReplaced]: 'replaced',
    [DisconnectReason.forbidden]: 'forbidden',
  }[code]
  emit('disconnected', { reason: wanted ? (final ?? 'closed') : 'asked', code, message: lastDisconnect?.error?.message })
  if (wanted && !final) setTimeout(() => wanted && socket === sock && open(), RECONNECT_DELAY_MS)
}

const identity = () => ({ pn: auth.state.creds.me?.id ?? '', lid: auth.state.creds.me?.lid ?? '' })

function onMessage({ key, message, messageStubType, messageStubParameters, pushName, verifiedBizName }) {
  if (message) heard.set(key.id, { key, message })
  const vote = message?.pollUpdateMessage
  const about = vote?.pollCreationMessageKey?.id
  const answer = message?.encEventResponseMessage
  const said = vote
    ? { kind: 'vote', text: openVote(vote, key, sent.get(about), identity()), about }
    : answer
      ? openAnswer(answer, key, sent.get(answer.eventCreationMessageKey?.id), identity())
      : message && describe(message)
  if (said) {
    const chat = key.remoteJid
    emit('said', { id: key.id, ...said, detail: detail(message), from_me: !!key.fromMe, chat, sender: key.participant || chat })
  }
  files
    .received({ key, message }, media.options, sock.updateMediaMessage)
    .then(file => file && emit('file', file))
    .catch(error => fail('', error))
  const text = message?.conversation || message?.extendedTextMessage?.text
  const chat = key.remoteJid
  const sender = key.participant || (key.fromMe ? identity().pn : chat)
  if (text) {
    const alt = key.participantAlt ?? key.remoteJidAlt ?? ''
    const names = { push_name: pushName ?? '', verified: verifiedBizName ?? '' }
    emit('message', { id: key.id, text, from_me: !!key.fromMe, chat, sender, alt, ...names })
  } else if (messageStubType === proto.WebMessageInfo.StubType.CIPHERTEXT) {
    emit('undecryptable', { id: key.id, chat, sender, message: (messageStubParameters ?? []).join(' ') })
  }
}

// Baileys reports receipts as growing states of a message: 3 delivered, 4 read, 5 played; and answers to an event of
// ours, which it has opened.
function onUpdate({ key, update }) {
  for (const { eventResponseMessageKey: { id, remoteJid: chat, participant }, response } of update.eventResponses ?? []) {
    const said = { id, kind: 'event_response', text: answerInWords(response), about: key.id, detail: '' }
    emit('said', { ...said, from_me: false, chat, sender: participant || chat })
  }
  const type = { 3: 'delivered', 4: 'read', 5: 'played' }[update.status]
  if (type) emit('receipt', { ids: [key.id], type, chat: key.remoteJid, sender: key.participant ?? key.remoteJid })
}

// The same of one member of a group, or of one viewer of a status post.
function onReceipt({ key, receipt }) {
  const type = receipt.readTimestamp ? 'read' : 'delivered'
  emit('receipt', { ids: [key.id], type, chat: key.remoteJid, sender: receipt.userJid })
}

const commands = {
  connect,
  async disconnect() {
    wanted = false
    sock.end(undefined)
  },
  async send({ to, text, people, ref }) {
    // A peer may ask again before sendMessage comes back: what is sent must be known before.
    const id = generateMessageIDV2(sock.user.id)
    sent.set(id, { extendedTextMessage: { text } })
    await sock.sendMessage(to, { text }, { messageId: id, statusJidList: people })
    emit('sent', { ref: ref ?? '', id })
  },
  async say({ to, kind, text, about, people, ref }) {
    const id = kind === 'text_as' ? about : generateMessageIDV2(sock.user.id)
    const target = messageAbout(heard.get(about), about, to)
    const raw = rawContent(kind, text, target, identity().pn, about)
    if (raw) {
      sent.set(id, raw)
      await sock.relayMessage(to, raw, { messageId: id })
      return emit('sent', { ref: ref ?? '', id })
    }
    const change = to.endsWith('@newsletter') && changed(kind, text)
    if (change) {
      await sock.relayMessage(to, change.content, { messageId: about, additionalAttributes: { edit: change.edit } })
      return emit('sent', { ref: ref ?? '', id: about })
    }
    const answer = await sock.sendMessage(to, contentOf(kind, text, target, about), {
      messageId: id,
      statusJidList: people,
      ...optionsBeside(kind, target),
    })
    sent.set(answer.key.id, answer.message)
    emit('sent', { ref: ref ?? '', id: answer.key.id })
  },
  async members({ group, participants, action, ref }) {
    await sock.groupParticipantsUpdate(group, participants, action)
    emit('sent', { ref: ref ?? '', id: '' })
  },
  async file({ to, kind, path, mime, text, about, ref }) {
    const id = generateMessageIDV2(sock.user.id)
    const answer = await sock.sendMessage(to, files.content(kind, path, mime, text, files.album(to, about), identity().pn), { messageId: id })
    sent.set(id, answer.message)
    emit('sent', { ref: ref ?? '', id })
  },
  async read({ chat, sender, ids }) {
    const participant = sender === chat ? undefined : sender
    await sock.readMessages(ids.map(id => ({ remoteJid: chat, participant, id, fromMe: false })))
  },
  async played({ chat, sender, ids }) {
    await sock.sendReceipt(chat, sender === chat ? undefined : sender, ids, 'played')
  },
  async change({ ref, ...change }) {
    await chats.change(sock, change)
    emit('changed', { ref: ref ?? '' })
  },
  async pair_code({ phone, text, ref }) {
    emit('pair_code', { ref: ref ?? '', code: await sock.requestPairingCode(phone, text || undefined) })
  },
  async group({ subject, participants, ref }) {
    const group = await sock.groupCreate(subject, participants)
    emit('group', { ref: ref ?? '', jid: group.id, subject: group.subject })
  },
  // Reads stanzas with Baileys' codec and writes them again; hexadecimal, with the flags byte.
  async recode({ trees, ref }) {
    const done = trees.map(async tree =>
      encodeBinaryNode(await decodeBinaryNode(Buffer.from(tree, 'hex'))).toString('hex'),
    )
    const settled = await Promise.allSettled(done)
    emit('recoded', { ref: ref ?? '', trees: settled.map(({ value, reason }) => value ?? `error: ${reason?.message}`) })
  },
  async logout() {
    await sock.logout()
  },
  ...people(() => sock, emit),
  ...newsletters(() => sock, emit),
  ...business(() => sock, emit),
  ...groups(() => sock, emit),
  async quit() {
    wanted = false
    sock?.end(undefined)
    while (writing.size > 0) await Promise.allSettled(writing)
    // Nothing is left to say, and Baileys' timers would keep the process for seconds.
    process.exit(0)
  },
}

function run(line) {
  let command
  try {
    command = JSON.parse(line)
  } catch (error) {
    return fail('', error)
  }
  const action = Object.hasOwn(commands, command.cmd) ? commands[command.cmd] : undefined
  if (!action) return fail(command.ref, `unknown command ${command.cmd}`)
  if (!sock && !['connect', 'quit', 'recode'].includes(command.cmd)) return fail(command.ref, `${command.cmd} before connect`)
  action(command).catch(error => fail(command.ref, error))
}

if (flags.root) WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(flags.root, 'hex')
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', run)
lines.on('close', () => commands.quit())
emit('ready', { client: 'baileys' })
