// What goes with a message (mentions, a preview of a link, a forward, a time after which it disappears), what keeps
// messages or lets them disappear, and answers to messages that ask for one.
import { decryptEventResponse, jidNormalizedUser, proto } from 'baileys'
import { firstButton, firstRow } from './details.mjs'

// What is previewed.
const LINK = 'https://hens.example'
// After which a message disappears: a day, in seconds.
const DAY = 86_400
// Kinds that quote what they are about.
const QUOTING = ['quote', 'reply', 'list_answer', 'button_answer']

// What sendMessage takes for a kind of this file, and nothing for another. `target` is the message that it is about,
// `about` the id or the JID.
export function contentBeside(kind, text, target, about) {
  switch (kind) {
    case 'quote':
    case 'reply':
    case 'disappearing':
      return { text }
    case 'mention':
      return { text, mentions: [about] }
    case 'link_preview':
      return { text: LINK, linkPreview: { 'matched-text': LINK, 'canonical-url': LINK, title: text } }
    case 'forward':
      return { forward: target }
    case 'timer':
      return { disappearingMessagesInChat: Number(text) }
    case 'list_answer': {
      const listType = proto.Message.ListResponseMessage.ListType.SINGLE_SELECT
      return { listReply: { title: text, listType, singleSelectReply: { selectedRowId: firstRow(target.message) } } }
    }
    case 'button_answer':
      return { buttonReply: { displayText: text, id: firstButton(target.message), index: 0 }, type: 'plain' }
    case 'album':
      return { album: { expectedImageCount: Number(text), expectedVideoCount: 0 } }
  }
}

// Options of sendMessage for it.
export function optionsBeside(kind, target) {
  return {
    ...(QUOTING.includes(kind) ? { quoted: target } : {}),
    ...(kind === 'disappearing' ? { ephemeralExpiration: DAY } : {}),
  }
}

// As it travels: with its own words for it Baileys asks for the picture of the group, and this group is nowhere.
export function groupInvite(caption) {
  const group = { groupJid: '120363000000000001@g.us', groupName: 'Hens', inviteCode: 'HENS' }
  return { groupInviteMessage: { ...group, caption } }
}

// That a message is kept, or not any more, as it travels: Baileys has no words for it.
export function keep(text, target) {
  const keepType = text === 'undo' ? proto.KeepType.UNDO_KEEP_FOR_ALL : proto.KeepType.KEEP_FOR_ALL
  return { keepInChatMessage: { key: target.key, keepType, timestampMs: Date.now() } }
}

// One word, the text, and the message that it is about; `m` is without envelopes.
export function describeBeside(m) {
  const said = (kind, text, about) => ({ kind, text: text ?? '', about: about ?? '' })
  const protocol = m.protocolMessage
  if (protocol?.type === proto.Message.ProtocolMessage.Type.EPHEMERAL_SETTING) {
    return said('timer', String(protocol.ephemeralExpiration ?? 0))
  }
  const kept = m.keepInChatMessage
  if (kept) return said('keep', kept.keepType === proto.KeepType.UNDO_KEEP_FOR_ALL ? 'undo' : '', kept.key?.id)
  const row = m.listResponseMessage
  if (row) return said('list_answer', row.title, row.contextInfo?.stanzaId)
  const button = m.buttonsResponseMessage
  if (button) return said('button_answer', button.selectedDisplayText, button.contextInfo?.stanzaId)
  if (m.groupInviteMessage) return said('group_invite', m.groupInviteMessage.caption)
  if (m.albumMessage) return said('album', String(m.albumMessage.expectedImageCount ?? 0))
  const { text, title, matchedText, backgroundArgb, contextInfo } = m.extendedTextMessage ?? {}
  if (title) return said('link_preview', title, matchedText)
  if (backgroundArgb) return said('styled', text)
  if (contextInfo?.isForwarded) return said('forward', `${text}; ${contextInfo.forwardingScore ?? 0}`)
  if (contextInfo?.mentionedJid?.length) return said('mention', text, contextInfo.mentionedJid[0])
  if (contextInfo?.expiration) return said('disappearing', `${text}; ${contextInfo.expiration}`)
  if (contextInfo?.remoteJid === 'status@broadcast') return said('reply', text, contextInfo.stanzaId)
  if (contextInfo?.quotedMessage?.locationMessage) return said('quote_place', text, contextInfo.stanzaId)
  if (contextInfo?.stanzaId) return said('quote', text, contextInfo.stanzaId)
  return undefined
}

// An answer to an event of ours, opened under our hidden identity, as the library itself does not: a control, which says
// that the answer can be opened. Nothing when it cannot.
export function openAnswer(sealed, { participant, remoteJid }, event, me) {
  const context = {
    eventEncKey: event?.messageContextInfo?.messageSecret,
    eventMsgId: sealed.eventCreationMessageKey.id,
    eventCreatorJid: jidNormalizedUser(me.lid),
    responderJid: jidNormalizedUser(participant || remoteJid),
  }
  try {
    const text = answerInWords({ response: decryptEventResponse(sealed, context).response })
    return { kind: 'event_response_control', text, about: context.eventMsgId }
  } catch {
    return undefined
  }
}

// An answer to an event of ours.
export function answerInWords({ response }) {
  const { GOING } = proto.Message.EventResponseMessage.EventResponseType
  return response === GOING ? 'going' : String(response)
}
