// Chats, settings and history of the account: what its devices know in common.

// Reports what others have changed.
export function watch(socket, emit) {
  const say = (what, chat, on, text = '') => emit('chat', { what, chat, on, text })
  socket.ev.on('chats.update', updates => {
    for (const update of updates) {
      if ('muteEndTime' in update) say('mute', update.id, update.muteEndTime != null)
      if ('pinned' in update) say('pin', update.id, !!update.pinned)
      if ('archived' in update) say('archive', update.id, !!update.archived)
      // Any other count is of messages that came.
      if (update.unreadCount === 0 || update.unreadCount === -1) say('read', update.id, update.unreadCount === 0)
    }
  })
  socket.ev.on('messages.update', updates => {
    for (const { key, update } of updates) {
      if ('starred' in update) say('star', key.remoteJid, !!update.starred, key.id)
    }
  })
  socket.ev.on('creds.update', ({ me }) => me?.name && say('push_name', '', true, me.name))
  socket.ev.on('settings.update', ({ setting, value }) => {
    if (setting === 'disableLinkPreviews') say('link_previews', '', !!value.isPreviewsDisabled)
  })
  socket.ev.on('messaging-history.set', ({ chats, messages }) =>
    emit('history', { chats: chats.length, messages: messages.length }),
  )
}

// Makes one change as a person would in the client.
export function change(socket, { what, chat, on, text }) {
  const lastMessages = [{ key: { remoteJid: chat, id: text || 'NONE', fromMe: true }, messageTimestamp: Math.floor(Date.now() / 1000) }]
  switch (what) {
    case 'mute':
      return socket.chatModify({ mute: on ? -1 : null }, chat)
    case 'pin':
      return socket.chatModify({ pin: on }, chat)
    case 'archive':
      return socket.chatModify({ archive: on, lastMessages }, chat)
    case 'read':
      return socket.chatModify({ markRead: on, lastMessages }, chat)
    case 'star':
      return socket.chatModify({ star: { messages: [{ id: text, fromMe: true }], star: on } }, chat)
    case 'link_previews':
      return socket.updateDisableLinkPreviewsPrivacy(on)
    case 'push_name':
      return socket.updateProfileName(text)
  }
  throw new Error(`unknown change ${what}`)
}
