// Commands about groups, communities and ways into them, each answered by one `answer` line; and what others change of groups.
import logger from 'baileys/lib/Utils/logger.js'

// Its communities log what they get to standard output, where events are.
logger.level = 'silent'

export function groups(socket, emit) {
  const answer = (ref, value = null) => emit('answer', { ref: ref ?? '', value })
  const sock = () => socket()
  const set = {
    announce: (to, on) => sock().groupSettingUpdate(to, on ? 'announcement' : 'not_announcement'),
    locked: (to, on) => sock().groupSettingUpdate(to, on ? 'locked' : 'unlocked'),
    approval: (to, on) => sock().groupJoinApprovalMode(to, on ? 'on' : 'off'),
    members_add: (to, on) => sock().groupMemberAddMode(to, on ? 'all_member_add' : 'admin_add'),
    subject: (to, _, text) => sock().groupUpdateSubject(to, text),
    description: (to, _, text) => sock().groupUpdateDescription(to, text),
    timer: (to, _, text) => sock().groupToggleEphemeral(to, Number(text)),
  }
  return {
    async group_set({ to, what, on, text, ref }) {
      if (!Object.hasOwn(set, what)) throw new Error(`unknown setting ${what}`)
      await set[what](to, on, text)
      answer(ref)
    },
    // The settings that are on, in words.
    async group_shows({ to, ref }) {
      const { announce, restrict: locked, joinApprovalMode: approval, memberAddMode: members_add } = await sock().groupMetadata(to)
      const on = Object.entries({ announce, locked, approval, members_add }).filter(([, is]) => is)
      answer(ref, on.map(([word]) => word).sort())
    },
    async group_looks({ to, ref }) {
      const { subject, desc, ephemeralDuration } = await sock().groupMetadata(to)
      answer(ref, [subject, desc ?? '', ephemeralDuration ?? 0])
    },
    async community({ text, ref }) {
      answer(ref, (await sock().communityCreate(text, ''))?.id)
    },
    async subgroup({ to, text, participants, ref }) {
      answer(ref, (await sock().communityCreateGroup(text, participants ?? [], to))?.id)
    },
    async link({ to, group, on, ref }) {
      await (on ? sock().communityLinkGroup(group, to) : sock().communityUnlinkGroup(group, to))
      answer(ref)
    },
    async subgroups({ to, ref }) {
      answer(ref, (await sock().communityFetchLinkedGroups(to)).linkedGroups.map(({ id }) => id))
    },
    async member_label({ to, text, ref }) {
      await sock().updateMemberLabel(to, text)
      answer(ref)
    },
    async join_requests({ to, ref }) {
      answer(ref, (await sock().groupRequestParticipantsList(to)).length)
    },
    async join({ text, ref }) {
      await sock().groupAcceptInvite(text)
      answer(ref)
    },
    async answer_join({ to, participants, on, ref }) {
      const [done] = await sock().groupRequestParticipantsUpdate(to, participants, on ? 'approve' : 'reject')
      if (done?.status !== '200') throw new Error(`refused with ${done?.status}`)
      answer(ref)
    },
    async leave({ to, ref }) {
      await sock().groupLeave(to)
      answer(ref)
    },
    async group_link({ to, on, ref }) {
      answer(ref, await (on ? sock().groupRevokeInvite(to) : sock().groupInviteCode(to)))
    },
    async only_invited({ ref }) {
      await sock().updateGroupsAddPrivacy('none')
      answer(ref)
    },
    async invite_join({ to, sender, text, about, ref }) {
      await sock().groupAcceptInviteV4(sender, { groupJid: to, inviteCode: text, inviteExpiration: Number(about) })
      answer(ref)
    },
    async invite_revoke({ to, sender, ref }) {
      answer(ref, await sock().groupRevokeInviteV4(to, sender))
    },
  }
}

// Tells what others have changed of a group, and what members call themselves. A timer comes as a message.
export function onGroups(socket, emit) {
  const say = (what, chat, on, text = '') => emit('chat', { what, chat, on: !!on, text })
  socket.ev.on('groups.update', updates => {
    for (const { id, subject, desc, announce, restrict, joinApprovalMode, memberAddMode, inviteCode } of updates) {
      if (subject !== undefined) say('subject', id, true, subject)
      if (desc !== undefined) say('description', id, true, desc)
      if (announce !== undefined) say('announce', id, announce)
      if (restrict !== undefined) say('locked', id, restrict)
      if (joinApprovalMode !== undefined) say('approval', id, joinApprovalMode)
      if (memberAddMode !== undefined) say('members_add', id, memberAddMode)
      if (inviteCode !== undefined) say('group_link', id, true, inviteCode)
    }
  })
  socket.ev.on('group-participants.update', ({ id, participants, action }) => {
    const [what, on] = { promote: ['admin', true], demote: ['admin', false], add: ['member', true], remove: ['member', false] }[action] ?? []
    if (what) participants.forEach(who => say(what, id, on, who.id))
  })
  socket.ev.on('group.join-request', ({ id, participant, action }) => say('join_request', id, action === 'created', participant))
  socket.ev.on('group.member-tag.update', ({ groupId: chat, label: text, participant: sender }) => {
    emit('said', { id: '', kind: 'member_label', text, about: '', from_me: false, chat, sender })
  })
}
