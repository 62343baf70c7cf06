// What a message of a kind says beside its text; ../README.md has the words.
import { normalizeMessageContent } from 'baileys'

export function detail(message) {
  const m = normalizeMessageContent(message)
  const place = m.locationMessage ?? m.liveLocationMessage
  if (place) return `${place.degreesLatitude} ${place.degreesLongitude}`
  if (m.contactMessage) return m.contactMessage.vcard ?? ''
  if (m.eventMessage) return String(m.eventMessage.startTime ?? 0)
  if (m.listMessage?.productListInfo) {
    const { productSections, businessOwnerJid } = m.listMessage.productListInfo
    const products = productSections.flatMap(({ title, products }) => products.map(({ productId }) => `${title}: ${productId}`))
    return `${[m.listMessage.buttonText, ...products].join('; ')} of ${businessOwnerJid}`
  }
  if (m.orderMessage) {
    const { orderId, token, sellerJid, itemCount, totalAmount1000, totalCurrencyCode } = m.orderMessage
    return `${orderId} ${token} of ${sellerJid}: ${itemCount}, ${totalAmount1000} ${totalCurrencyCode}`
  }
  if (m.listMessage) {
    const rows = section => section.rows.map(({ rowId, title }) => `${rowId} ${title}`).join(', ')
    const sections = m.listMessage.sections.map(section => `${section.title ?? ''}: ${rows(section)}`)
    return [m.listMessage.buttonText, ...sections].join('; ')
  }
  if (m.buttonsMessage) {
    return m.buttonsMessage.buttons.map(({ buttonId, buttonText }) => `${buttonId} ${buttonText?.displayText}`).join(', ')
  }
  if (m.listResponseMessage) return m.listResponseMessage.singleSelectReply?.selectedRowId ?? ''
  if (m.buttonsResponseMessage) return m.buttonsResponseMessage.selectedButtonId ?? ''
  if (m.productMessage) return `${m.productMessage.product?.productId} of ${m.productMessage.businessOwnerJid ?? ''}`
  if (m.groupInviteMessage) return `${m.groupInviteMessage.groupJid} ${m.groupInviteMessage.inviteCode}`
  const { backgroundArgb, textArgb, font } = m.extendedTextMessage ?? {}
  const hex = argb => (argb ?? 0).toString(16).padStart(8, '0')
  if (backgroundArgb) return `${hex(backgroundArgb)} ${hex(textArgb)} ${font ?? 0}`
  if (m.pinInChatMessage) return String(m.messageContextInfo?.messageAddOnDurationInSecs ?? 0)
  return ''
}

// The first row of a list, and the first button of a message with buttons; none when it is another.
export const firstRow = message => normalizeMessageContent(message)?.listMessage?.sections?.[0]?.rows?.[0]?.rowId
export const firstButton = message => normalizeMessageContent(message)?.buttonsMessage?.buttons?.[0]?.buttonId
