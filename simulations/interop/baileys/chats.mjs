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
  socket.ev.on('messages.delete', ({ keys }) => keys?.forEach(({ remoteJid, id }) => say('delete_for_me', remoteJid, true, id)))
  socket.ev.on('chats.delete', chats => chats.forEach(chat => say('delete', chat, true)))
  // Who was taken out of the address book has no name any more.
  socket.ev.on('contacts.upsert', contacts => contacts.forEach(({ id, name }) => say('contact', id, !!name, name)))
  socket.ev.on('labels.edit', ({ id, name, deleted }) => say('label', id, !deleted, name))
  socket.ev.on('labels.association', ({ type, association: { chatId, messageId, labelId } }) =>
    messageId
      ? say('label_message', chatId, type === 'add', `${labelId} ${messageId}`)
      : say('label_chat', chatId, type === 'add', labelId),
  )
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
  const [label, message] = text.split(' ')
  const sent = Math.floor(Date.now() / 1000)
  switch (what) {
    case 'clear':
      return socket.chatModify({ clear: true, lastMessages }, chat)
    case 'delete':
      return socket.chatModify({ delete: true, lastMessages }, chat)
    case 'delete_for_me':
      return socket.chatModify({ deleteForMe: { deleteMedia: false, key: { id: text, fromMe: true }, timestamp: sent } }, chat)
    case 'contact':
      return on ? socket.addOrEditContact(chat, { fullName: text }) : socket.removeContact(chat)
    case 'label':
      return socket.addLabel('', { id: chat, name: text, color: 1, deleted: !on })
    case 'label_chat':
      return on ? socket.addChatLabel(chat, text) : socket.removeChatLabel(chat, text)
    case 'label_message':
      return on ? socket.addMessageLabel(chat, message, label) : socket.removeMessageLabel(chat, message, label)
    case 'quick_reply':
      return socket.addOrEditQuickReply({ timestamp: chat, shortcut: chat, message: text, deleted: !on })
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
