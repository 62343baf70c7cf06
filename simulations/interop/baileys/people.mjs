// Commands about people: numbers, profiles, privacy, presence, calls. Each is answered by one `answer` line
// whose value has the same shape from every driver.

export const PICTURE = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><circle r="8"/></svg>')

export function people(socket, emit) {
  const answer = (ref, value = null) => emit('answer', { ref: ref ?? '', value })
  const sock = () => socket()
  const withoutValue = action => async command => {
    await action(command)
    answer(command.ref)
  }
  return {
    async check({ phone, ref }) {
      const [found] = (await sock().onWhatsApp(phone)) ?? []
      answer(ref, !!found?.exists)
    },
    async about({ to, ref }) {
      const [found] = (await sock().fetchStatus(to)) ?? []
      answer(ref, found?.status?.status ?? '')
    },
    set_about: withoutValue(({ text }) => sock().updateProfileStatus(text)),
    async picture({ to, ref }) {
      answer(ref, (await sock().profilePictureUrl(to, 'image')) ?? '')
    },
    // Of a group, or of its own account. The library makes the JPEG.
    set_picture: withoutValue(({ to }) => sock().updateProfilePicture(to || sock().user.id, PICTURE)),
    async privacy({ ref }) {
      answer(ref, (await sock().fetchPrivacySettings(true)).last)
    },
    hide_about: withoutValue(() => sock().updateStatusPrivacy('none')),
    default_timer: withoutValue(() => sock().updateDefaultDisappearingMode(86400)),
    block: withoutValue(({ to }) => sock().updateBlockStatus(to, 'block')),
    async blocked({ ref }) {
      answer(ref, (await sock().fetchBlocklist()).length)
    },
    presence: withoutValue(({ text }) => {
      // It refuses to be seen without a name; the name is a matter of app state.
      sock().authState.creds.me.name ||= 'Baileys'
      return sock().sendPresenceUpdate(text)
    }),
    subscribe: withoutValue(({ to }) => sock().presenceSubscribe(to)),
    typing: withoutValue(({ to, text, subject }) =>
      sock().sendPresenceUpdate(subject === 'audio' && text === 'composing' ? 'recording' : text, to)),
    reject_call: withoutValue(({ to, text }) => sock().rejectCall(text, to)),
    async bots({ ref }) {
      answer(ref, (await sock().getBotListV2()).map(({ jid }) => jid))
    },
    // `about`: when the call is planned, in seconds.
    async call_link({ text, about, ref }) {
      answer(ref, await sock().createCallLink(text, about ? { startTime: Number(about) } : undefined))
    },
  }
}

// Tells what others show and do.
export function onPeople(socket, emit) {
  socket.ev.on('presence.update', ({ id, presences }) => {
    for (const [who, { lastKnownPresence: state }] of Object.entries(presences)) {
      if (state === 'available' || state === 'unavailable') emit('presence', { from: who, available: state === 'available' })
      else emit('typing', { from: who ?? id, state })
    }
  })
  socket.ev.on('call', calls => {
    for (const { id, from, status } of calls) {
      emit('call', { id, from, what: status === 'timeout' || status === 'terminate' ? 'terminate' : status })
    }
  })
  socket.ev.on('blocklist.update', ({ blocklist, type }) => {
    for (const from of blocklist) emit('contact', { from, what: type === 'add' ? 'block' : 'unblock' })
  })
  socket.ev.on('creds.update', ({ accountSettings }) => {
    const timer = accountSettings?.defaultDisappearingMode?.ephemeralExpiration
    if (timer !== undefined) emit('contact', { from: '', what: `timer ${timer}` })
  })
  socket.ev.on('contacts.update', updates => {
    for (const { id, imgUrl, status } of updates) {
      if (imgUrl !== undefined) emit('contact', { from: id, what: 'picture' })
      if (status !== undefined) emit('contact', { from: id, what: `about ${status}` })
    }
  })
}
