// Commands about settings of groups, communities and personal invites. Each is answered by one `answer` line.
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
  }
  return {
    async group_set({ to, what, on, ref }) {
      if (!Object.hasOwn(set, what)) throw new Error(`unknown setting ${what}`)
      await set[what](to, on)
      answer(ref)
    },
    // The settings that are on, in words.
    async group_shows({ to, ref }) {
      const { announce, restrict: locked, joinApprovalMode: approval, memberAddMode: members_add } = await sock().groupMetadata(to)
      const on = Object.entries({ announce, locked, approval, members_add }).filter(([, is]) => is)
      answer(ref, on.map(([word]) => word).sort())
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

// Tells what members call themselves.
export function onGroups(socket, emit) {
  socket.ev.on('group.member-tag.update', ({ groupId: chat, label: text, participant: sender }) => {
    emit('said', { id: '', kind: 'member_label', text, about: '', from_me: false, chat, sender })
  })
}
