// Commands about businesses. Each is answered by one `answer` line, in words that are the same from every driver.

import fs from 'node:fs/promises'
import { getRawMediaUploadData, getUrlFromDirectPath } from 'baileys'

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0])

const inWords = ({ name, price, currency }) => `${name} ${price} ${currency}`

export function business(socket, emit) {
  const answer = (ref, value = null) => emit('answer', { ref: ref ?? '', value })
  const sock = () => socket()
  // `productCreate` sends the copy that it makes of a picture before it has written that, so it gets one that is up already.
  const uploaded = async picture => {
    const mediaType = 'product-catalog-image'
    const { filePath, fileSha256 } = await getRawMediaUploadData(picture, mediaType)
    try {
      const fileEncSha256B64 = fileSha256.toString('base64')
      const { directPath } = await sock().waUploadToServer(filePath, { mediaType, fileEncSha256B64 })
      return { url: getUrlFromDirectPath(directPath) }
    } finally {
      await fs.unlink(filePath)
    }
  }
  return {
    async business_profile({ to, ref }) {
      const { address, email, business_hours: hours } = await sock().getBusinessProfile(to)
      const days = (hours.business_config ?? []).map(day =>
        `${day.day_of_week} ${day.mode} ${day.open_time ?? ''}-${day.close_time ?? ''}`)
      answer(ref, [address, email, hours.timezone, ...days].map(word => word ?? '').join(', '))
    },
    async business_update({ text, ref }) {
      const monday = { day: 'mon', mode: 'specific_hours', openTimeInMinutes: '540', closeTimeInMinutes: '1020' }
      const hours = { timezone: 'Europe/Berlin', days: [monday, { day: 'sun', mode: 'appointment_only' }] }
      await sock().updateBussinesProfile({ address: text, websites: ['https://hens.example'], hours })
      answer(ref)
    },
    async cover({ ref }) {
      answer(ref, String(await sock().updateCoverPhoto(JPEG)))
    },
    async catalog({ to, ref }) {
      answer(ref, (await sock().getCatalog({ jid: to })).products.map(inWords))
    },
    async collections({ to, ref }) {
      const { collections } = await sock().getCollections(to)
      answer(ref, collections.map(({ name, products }) => `${name}: ${products.map(inWords).join(', ')}`))
    },
    async product_create({ text, ref }) {
      const eggs = { name: text, description: 'fresh', price: 2500, currency: 'EUR', originCountryCode: 'DE' }
      answer(ref, (await sock().productCreate({ ...eggs, images: [await uploaded(JPEG)] })).id)
    },
    async product_update({ about, text, ref }) {
      answer(ref, inWords(await sock().productUpdate(about, { name: text, images: [] })))
    },
    async product_delete({ about, ref }) {
      answer(ref, (await sock().productDelete([about])).deleted)
    },
    async order({ about, text, ref }) {
      const { price, products } = await sock().getOrderDetails(about, text)
      answer(ref, `${price.total} ${price.currency}: ${products.map(({ name, quantity }) => `${name} x${quantity}`).join(', ')}`)
    },
  }
}
