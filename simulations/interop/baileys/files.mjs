// Files, with Baileys' own upload and download. Its requests go to the simulated WhatsApp whatever their host is: by
// an agent for uploads and a dispatcher for downloads, as it offers them.
import crypto from 'node:crypto'
import fs from 'node:fs'
import https from 'node:https'
import tls from 'node:tls'
import { downloadMediaMessage, jidNormalizedUser, normalizeMessageContent, proto } from 'baileys'
import { Agent } from 'undici'

export function transport(server, ca) {
  const { hostname, port } = new URL(server)
  const dial = { host: hostname, port, ca: fs.readFileSync(ca), servername: 'mmg.whatsapp.net' }
  const fetchAgent = new https.Agent()
  fetchAgent.createConnection = () => tls.connect(dial)
  const dispatcher = new Agent({
    connect(_, callback) {
      const socket = tls.connect(dial, () => callback(null, socket))
      socket.once('error', error => callback(error, null))
    },
  })
  return { fetchAgent, options: { dispatcher } }
}

// Where a picture belongs, when that is an album of ours, or which one of ours gets another caption.
export const album = (remoteJid, id) => id && { remoteJid, fromMe: true, id }

// A part of a picture that leads to a place.
const place = {
  polygonVertices: [{ x: 0.25, y: 0.5 }, { x: 0.75, y: 0.5 }, { x: 0.5, y: 1 }],
  location: { degreesLatitude: 52.5, degreesLongitude: 13.5, name: 'Alex' },
}

// What sendMessage takes for a file.
export function content(kind, path, mimetype, caption, albumParentKey, owner) {
  const file = { url: path }
  switch (kind) {
    case 'image': return { image: file, mimetype, caption, jpegThumbnail: '', albumParentKey }
    case 'edited_caption': return { image: file, mimetype, caption, jpegThumbnail: '', edit: albumParentKey }
    case 'product':
      return { product: { productImage: file, productId: '1', title: caption, productImageCount: 1 }, businessOwnerJid: jidNormalizedUser(owner) }
    case 'located': return { image: file, mimetype, caption, jpegThumbnail: '', interactiveAnnotations: [place] }
    case 'view_once': return { image: file, mimetype, caption, jpegThumbnail: '', viewOnce: true }
    case 'video': return { video: file, mimetype, caption, jpegThumbnail: '' }
    case 'note': return { video: file, mimetype, ptv: true, jpegThumbnail: '' }
    case 'audio': return { audio: file, mimetype, seconds: 1 }
    case 'voice': return { audio: file, mimetype, ptt: true, seconds: 1, waveform: new Uint8Array(64) }
    case 'document': return { document: file, mimetype, caption, fileName: 'file.bin' }
    case 'sticker': return { sticker: file, mimetype }
    default: throw new Error(`unknown kind of file ${kind}`)
  }
}

const placeInWords = ({ location }) => `${location?.degreesLatitude} ${location?.degreesLongitude} ${location?.name}`

// Fetches the file of a message, if it has one, and says what it is. `reupload` has the phone upload a file that the
// servers have dropped; the library itself takes no notice of their answer.
export async function received(message, options, reupload) {
  const inner = normalizeMessageContent(message.message)
  const found = [
    ['image', inner?.imageMessage],
    ['video', inner?.videoMessage],
    ['note', inner?.ptvMessage],
    [inner?.audioMessage?.ptt ? 'voice' : 'audio', inner?.audioMessage],
    ['document', inner?.documentMessage],
    ['sticker', inner?.stickerMessage],
    ['product', inner?.productMessage?.product?.productImage],
  ].find(([, part]) => part)
  if (!found) return undefined
  const [, part] = found
  const { viewOnceMessage, viewOnceMessageV2 } = message.message
  const kind = viewOnceMessage || viewOnceMessageV2 ? 'view_once' : found[0]
  const association = (message.message.messageContextInfo ?? inner.messageContextInfo)?.messageAssociation
  const ofAlbum = association?.associationType === proto.MessageAssociation.AssociationType.MEDIA_ALBUM
  // The library fetches what is encrypted; files in newsletters are not.
  if (!part.mediaKey?.length) return undefined
  // Nor does it look for the picture of a product: it is given that alone.
  const alone = of => kind === 'product' ? { ...of, message: { imageMessage: part } } : of
  const fetched = of => downloadMediaMessage(alone(of), 'buffer', { options })
  const data = await fetched(message).catch(async error => {
    if (![404, 410].includes(error?.output?.statusCode)) throw error
    return fetched(await reupload(message))
  })
  return {
    id: message.key.id,
    kind,
    mime: part.mimetype ?? '',
    caption: part.caption ?? '',
    size: data.length,
    sha256: crypto.createHash('sha256').update(data).digest('hex'),
    from_me: !!message.key.fromMe,
    about: (ofAlbum && association.parentMessageKey?.id) || '',
    chat: message.key.remoteJid,
    shown: {
      seconds: part.seconds ?? 0,
      width: part.width ?? 0,
      height: part.height ?? 0,
      waveform: Buffer.from(part.waveform ?? []).toString('hex'),
      place: (part.interactiveAnnotations ?? []).map(placeInWords).join(),
    },
  }
}
