// Commands about newsletters. Each is answered by one `answer` line.

// A post is edited and taken back under its own id, with what it says now; `undefined` for other kinds.
export function changed(kind, text) {
  if (kind === 'edit') return { edit: '3', content: { conversation: text } }
  if (kind === 'revoke') return { edit: '8', content: {} }
  return undefined
}

export function newsletters(socket, emit) {
  const answer = (ref, value = null) => emit('answer', { ref: ref ?? '', value })
  const sock = () => socket()
  const children = node => (Array.isArray(node?.content) ? node.content : [])
  const child = (node, tag) => children(node).find(one => one.tag === tag)
  return {
    async newsletter_create({ text, ref }) {
      answer(ref, (await sock().newsletterCreate(text)).id)
    },
    async newsletter_title({ to, ref }) {
      answer(ref, (await sock().newsletterMetadata('jid', to))?.thread_metadata?.name?.text ?? '')
    },
    async newsletter_update({ to, text, ref }) {
      await sock().newsletterUpdateName(to, text)
      answer(ref)
    },
    async newsletter_follow({ to, ref }) {
      await sock().newsletterFollow(to)
      answer(ref)
    },
    async newsletter_admins({ to, ref }) {
      answer(ref, await sock().newsletterAdminCount(to))
    },
    async newsletter_give({ to, sender, ref }) {
      await sock().newsletterChangeOwner(to, sender)
      answer(ref)
    },
    async newsletter_demote({ to, sender, ref }) {
      await sock().newsletterDemote(to, sender)
      answer(ref)
    },
    async newsletter_watch({ to, ref }) {
      await sock().subscribeNewsletterUpdates(to)
      answer(ref)
    },
    async newsletter_react({ to, about, text, ref }) {
      await sock().newsletterReactMessage(to, about, text)
      answer(ref)
    },
    // It gives back the stanza; each message in words: its number, its views and its reactions: `100 2 🐓1`.
    async newsletter_posts({ to, ref }) {
      const messages = child(child(await sock().newsletterFetchMessages(to, 50, 0, 0), 'message_updates'), 'messages')
      const words = children(messages).map(message => {
        const reactions = children(child(message, 'reactions')).map(({ attrs }) => `${attrs.code}${attrs.count}`)
        return [message.attrs.server_id, child(message, 'views_count')?.attrs.count ?? 0, ...reactions.sort()].join(' ')
      })
      answer(ref, words)
    },
  }
}
