// Messages of every kind: what Baileys is given to send, and received ones in words.
import { createHash, randomBytes } from 'node:crypto'
import { decryptPollVote, jidNormalizedUser, normalizeMessageContent, proto } from 'baileys'
import { contentBeside, describeBeside, groupInvite, keep } from './beside.mjs'

// The message that another one is about: as it was received, or one of our own.
export function messageAbout(heard, id, to) {
  return heard ?? { key: { remoteJid: to, fromMe: true, id }, message: { conversation: 'quoted' } }
}

export function contentOf(kind, text, target, about) {
  switch (kind) {
    case 'text_as':
      return { text }
    case 'location':
      return { location: { degreesLatitude: 52.5, degreesLongitude: 13.5, name: text } }
    case 'contact':
      return {
        contacts: { displayName: text, contacts: [{ displayName: text, vcard: `BEGIN:VCARD\nVERSION:3.0\nFN:${text}\nEND:VCARD` }] },
      }
    case 'poll':
      return { poll: { name: text, values: ['yes', 'no'], selectableCount: 1 } }
    case 'share_phone_number':
      return { sharePhoneNumber: true }
    case 'request_phone_number':
      return { requestPhoneNumber: true }
    case 'limit_sharing':
      return { limitSharing: text === 'on' }
    case 'calendar_event':
      return { event: { name: text, startDate: new Date(1_900_000_000_000) } }
    case 'reaction':
      return { react: { text, key: target.key } }
    case 'edit':
      return { text, edit: target.key }
    case 'revoke':
      return { delete: target.key }
    case 'pin':
      return text === 'undo' ? { pin: target.key, type: 2 } : { pin: target.key, type: 1, time: 86400 }
  }
  const content = contentBeside(kind, text, target, about)
  if (!content) throw new Error(`unknown kind ${kind}`)
  return content
}

// Kinds that Baileys has no words for: their content as it travels. `own` is the JID of the device, `about` the id that
// was named, or what `text` leaves unsaid.
export function rawContent(kind, text, target, own, about) {
  switch (kind) {
    case 'keep':
      return keep(text, target)
    case 'group_invite':
      return groupInvite(text)
    case 'live_location':
      return { liveLocationMessage: { degreesLatitude: 52.5, degreesLongitude: 13.5, caption: text } }
    case 'list':
      return {
        listMessage: {
          description: text,
          buttonText: 'open',
          listType: proto.Message.ListMessage.ListType.SINGLE_SELECT,
          sections: [{ title: 'all', rows: [{ title: 'one', rowId: `row: ${text}` }] }],
        },
      }
    case 'buttons':
      return {
        buttonsMessage: {
          contentText: text,
          headerType: proto.Message.ButtonsMessage.HeaderType.EMPTY,
          buttons: [
            {
              buttonId: `button: ${text}`,
              buttonText: { displayText: 'one' },
              type: proto.Message.ButtonsMessage.Button.Type.RESPONSE,
            },
          ],
        },
      }
    case 'quiz':
      return {
        messageContextInfo: { messageSecret: randomBytes(32) },
        pollCreationMessageV3: {
          name: text,
          options: [{ optionName: 'yes' }, { optionName: 'no' }],
          selectableOptionsCount: 1,
          pollType: proto.Message.PollType.QUIZ,
          correctAnswer: { optionName: 'no', optionHash: createHash('sha256').update('no').digest('hex') },
        },
      }
    case 'styled':
      return { extendedTextMessage: { text, backgroundArgb: 0xff1e6e4f, textArgb: 0xffffffff, font: 2 } }
    case 'product_list':
      return {
        listMessage: {
          description: text,
          buttonText: 'see',
          listType: proto.Message.ListMessage.ListType.PRODUCT_LIST,
          productListInfo: {
            businessOwnerJid: jidNormalizedUser(own),
            productSections: [{ title: 'fresh', products: [{ productId: '7' }] }],
          },
        },
      }
    case 'order': {
      const [orderId, token] = about ? about.split(' ') : ['1', 'opens']
      return {
        orderMessage: {
          orderId,
          token,
          message: text,
          itemCount: 2,
          sellerJid: jidNormalizedUser(own),
          totalAmount1000: 3980,
          totalCurrencyCode: 'EUR',
          status: proto.Message.OrderMessage.OrderStatus.INQUIRY,
          surface: proto.Message.OrderMessage.OrderSurface.CATALOG,
        },
      }
    }
    case 'product':
      return { productMessage: { product: { productId: '1', title: text }, businessOwnerJid: jidNormalizedUser(own) } }
  }
}

// One word, the text, and the message that it is about. Plain texts have no word: they have an event of
// their own.
export function describe(message) {
  const m = normalizeMessageContent(message)
  const said = (kind, text, about = '') => ({ kind, text: text ?? '', about: about ?? '' })
  const poll = m.pollCreationMessage ?? m.pollCreationMessageV2 ?? m.pollCreationMessageV3
  if (poll) {
    const words = `${poll.name}: ${poll.options.map(option => option.optionName).join(', ')}`
    const quiz = poll.pollType === proto.Message.PollType.QUIZ
    return quiz ? said('quiz', `${words}; ${poll.correctAnswer?.optionName}`) : said('poll', words)
  }
  if (m.reactionMessage) return said('reaction', m.reactionMessage.text, m.reactionMessage.key?.id)
  const protocol = m.protocolMessage
  if (protocol?.editedMessage) {
    const edited = normalizeMessageContent(protocol.editedMessage)
    const file = edited.imageMessage ?? edited.videoMessage ?? edited.documentMessage
    return said('edit', edited.conversation || edited.extendedTextMessage?.text || file?.caption, protocol.key?.id)
  }
  if (protocol?.key && !protocol.type) return said('revoke', '', protocol.key.id)
  if (protocol?.type === proto.Message.ProtocolMessage.Type.SHARE_PHONE_NUMBER) return said('share_phone_number', '')
  if (protocol?.type === proto.Message.ProtocolMessage.Type.LIMIT_SHARING) {
    return said('limit_sharing', protocol.limitSharing?.sharingLimited ? 'on' : 'off')
  }
  if (m.requestPhoneNumberMessage) return said('request_phone_number', '')
  if (m.locationMessage) return said('location', m.locationMessage.name)
  if (m.liveLocationMessage) return said('live_location', m.liveLocationMessage.caption)
  if (m.contactMessage) return said('contact', m.contactMessage.displayName)
  if (m.eventMessage) return said('calendar_event', m.eventMessage.name)
  if (m.listMessage?.productListInfo) return said('product_list', m.listMessage.description)
  if (m.orderMessage) return said('order', m.orderMessage.message)
  if (m.listMessage) return said('list', m.listMessage.description)
  if (m.buttonsMessage) return said('buttons', m.buttonsMessage.contentText)
  if (m.productMessage) return said('product', m.productMessage.product?.title)
  if (m.pinInChatMessage) {
    const undone = m.pinInChatMessage.type === proto.Message.PinInChatMessage.Type.UNPIN_FOR_ALL
    return said('pin', undone ? 'undo' : '', m.pinInChatMessage.key?.id)
  }
  return describeBeside(m)
}

// A vote in a poll of ours: Baileys leaves opening it to the application. Both sides have two addresses, and
// the vote does not say which it was made under.
export function openVote(update, key, poll, me) {
  const pollMsgId = update.pollCreationMessageKey.id
  const pollEncKey = poll?.messageContextInfo?.messageSecret
  const voters = [key.participant, key.remoteJid, key.participantAlt, key.remoteJidAlt].filter(Boolean)
  for (const creator of pollEncKey ? [me.lid, me.pn] : []) {
    for (const voter of voters) {
      try {
        const context = { pollEncKey, pollMsgId, pollCreatorJid: jidNormalizedUser(creator), voterJid: jidNormalizedUser(voter) }
        const { selectedOptions } = decryptPollVote(update.vote, context)
        return selectedOptions.map(hash => Buffer.from(hash).toString('hex')).join(' ')
      } catch {
        // Made under other addresses.
      }
    }
  }
  return 'unreadable'
}
