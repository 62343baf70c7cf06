// Commands about newsletters. Each is answered by one `answer` line.

import { PICTURE } from './people.mjs'

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
  const inWords = fetched =>
    children(child(child(fetched, 'message_updates'), 'messages')).map(message => {
      const reactions = children(child(message, 'reactions')).map(({ attrs }) => `${attrs.code}${attrs.count}`)
      return [message.attrs.server_id, child(message, 'views_count')?.attrs.count ?? 0, ...reactions.sort()].join(' ')
    })
  return {
    async newsletter_create({ text, ref }) {
      answer(ref, (await sock().newsletterCreate(text)).id)
    },
    async newsletter_title({ to, ref }) {
      answer(ref, (await sock().newsletterMetadata('jid', to))?.thread_metadata?.name?.text ?? '')
    },
    async newsletter_shows({ to, ref }) {
      const { description, picture } = (await sock().newsletterMetadata('jid', to))?.thread_metadata ?? {}
      answer(ref, `${description?.text}, ${picture?.direct_path ? 'pictured' : 'bare'}`)
    },
    async newsletter_describe({ to, text, ref }) {
      await sock().newsletterUpdateDescription(to, text)
      answer(ref)
    },
    // The library makes the JPEG.
    async newsletter_picture({ to, ref }) {
      await sock().newsletterUpdatePicture(to, PICTURE)
      answer(ref)
    },
    async newsletter_unfollow({ to, ref }) {
      await sock().newsletterUnfollow(to)
      answer(ref)
    },
    async newsletter_mute({ to, ref }) {
      await sock().newsletterMute(to)
      answer(ref)
    },
    async newsletter_unmute({ to, ref }) {
      await sock().newsletterUnmute(to)
      answer(ref)
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
      answer(ref, inWords(await sock().newsletterFetchMessages(to, 50, 0, 0)))
    },
    async newsletter_updates({ to, about, ref }) {
      answer(ref, inWords(await sock().newsletterFetchMessages(to, 1, 0, Number(about))))
    },
  }
}
