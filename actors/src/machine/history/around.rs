//! What a piece of history tells beside its messages, in parts that an event can carry.
//!
//! What must hold: the same piece is told in the same parts, whoever tells it; nothing is left out, but of a name that nobody
//! would read to its end.

use roost_proto::history::{Outline, Outlined};

/// Chats and people that one event tells of.
const CHATS: usize = 2_000;
const PEOPLE: usize = 10_000;
/// Bytes of all of them together.
const BYTES: usize = 512 << 10;
/// Bytes of one name.
const NAME: usize = 1024;
/// What an entry takes beside its texts.
const ENTRY: usize = 64;

/// A number or a LID, and what belongs to it.
type Pair = (String, String);

/// What is still to be told.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) chats: &'a [Outlined],
    pub(super) names: &'a [Pair],
    pub(super) lids: &'a [Pair],
}

impl<'a> Around<'a> {
    /// All of a piece; nothing where none was read.
    pub(super) fn of(outline: Option<&'a Outline>) -> Around<'a> {
        match outline {
            None => Around { chats: &[], names: &[], lids: &[] },
            Some(Outline { chats, people, .. }) => {
                Around { chats, names: &people.push_names, lids: &people.lids }
            }
        }
    }

    /// Takes the next part.
    pub(super) fn part(&mut self) -> Around<'a> {
        let mut room = BYTES;
        let chat = |one: &Outlined| {
            let text = |chat: &roost_proto::history::Chat| chat.jid.user.len() + chat.name.len().min(NAME);
            ENTRY + one.about.as_ref().map_or(0, text)
        };
        let pair = |(key, value): &Pair| ENTRY + key.len() + value.len().min(NAME);
        Around {
            chats: front(&mut self.chats, CHATS, &mut room, chat),
            names: front(&mut self.names, PEOPLE, &mut room, pair),
            lids: front(&mut self.lids, PEOPLE, &mut room, pair),
        }
    }

    /// Whether there is another part.
    pub(super) fn is_told(&self) -> bool {
        self.chats.is_empty() && self.names.is_empty() && self.lids.is_empty()
    }
}

/// Takes entries while there is room; at least one in an empty part, or it would never be told.
fn front<'a, T>(rest: &mut &'a [T], most: usize, room: &mut usize, size: impl Fn(&T) -> usize) -> &'a [T] {
    let mut count = 0;
    for one in rest.iter().take(most) {
        let size = size(one);
        if size > *room && *room < BYTES {
            // Nothing behind it has a place in this part either, or the next would begin with it.
            *room = 0;
            break;
        }
        *room = room.saturating_sub(size);
        count += 1;
    }
    let (front, behind) = rest.split_at(count);
    *rest = behind;
    front
}

/// A name, as much of it as is told.
pub(super) fn name(name: &str) -> String {
    name[..name.floor_char_boundary(NAME)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(count: usize, length: usize) -> Vec<Pair> {
        (0..count).map(|n| (format!("{n}@lid"), "x".repeat(length))).collect()
    }

    fn parts<'a>(mut around: Around<'a>) -> Vec<Around<'a>> {
        let mut parts = vec![around.part()];
        while !around.is_told() {
            parts.push(around.part());
        }
        parts
    }

    #[test]
    fn a_part_ends_before_it_is_too_large_for_an_event_and_nothing_is_left_out() {
        let (names, lids) = (pairs(2_000, 5_000), pairs(12_000, 20));
        let parts = parts(Around { chats: &[], names: &names, lids: &lids });
        assert!(parts.len() > 4, "{}", parts.len());
        for part in &parts {
            let bytes: usize = part.names.iter().map(|(key, value)| key.len() + value.len().min(NAME)).sum();
            assert!(bytes <= BYTES && part.lids.len() <= PEOPLE, "{bytes}");
        }
        let told = |of: fn(&Around<'_>) -> usize| parts.iter().map(of).sum::<usize>();
        assert_eq!((told(|part| part.names.len()), told(|part| part.lids.len())), (2_000, 12_000));
    }

    #[test]
    fn what_is_larger_than_a_part_has_one_of_its_own() {
        let names = [("1".repeat(BYTES + 1), String::new()), ("2".to_owned(), String::new())];
        let parts = parts(Around { chats: &[], names: &names, lids: &[] });
        assert_eq!(parts.iter().map(|part| part.names.len()).collect::<Vec<_>>(), [1, 1]);
        let nothing = Around { chats: &[], names: &[], lids: &[] };
        assert_eq!(super::tests::parts(nothing).len(), 1, "an event about the piece comes all the same");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(name("hens"), "hens");
        let long = "ä".repeat(600);
        assert_eq!(name(&format!("x{long}")).len(), 1023);
    }
}
