//! Random stanzas, written by us, read and written again by whatsmeow and by Baileys, and read by us: they say
//! the same. One way through a library is both directions.
//!
//! `ROOST_TREES` says how many (300 unless told), `ROOST_SEED` begins elsewhere. Needs Go and Node.js.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use roost_proto::stanza::{self, Builder, Jid, Read as _, Stanza};
use roost_simulations::interop::{Failure, Library, Stage};

/// Stanzas that go to a library at a time.
const BATCH: usize = 100;
/// Words of the dictionaries, of both kinds, and some that are in none.
const WORDS: [&str; 12] = [
    "message",
    "receipt",
    "iq",
    "type",
    "to",
    "participant",
    "from",
    "encrypt",
    "w:gp2",
    "roost",
    "x",
    "günther",
];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn word(rng: &mut StdRng) -> &'static str {
    WORDS[rng.random_range(0..WORDS.len())]
}

/// A text of one of the kinds that the codec packs differently.
fn text(rng: &mut StdRng) -> String {
    let of = |rng: &mut StdRng, alphabet: &str, longest: usize| -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let length = rng.random_range(1..=longest);
        (0..length).map(|_| letters[rng.random_range(0..letters.len())]).collect()
    };
    match rng.random_range(0..6) {
        0 => word(rng).to_owned(),
        1 => of(rng, "0123456789-.", 130),
        2 => of(rng, "0123456789ABCDEF", 130),
        3 => of(rng, "abcdefghijklmnop qrstuvwxyz_/", 40),
        4 => of(rng, "äöüß€日本語🦀", 30),
        _ => of(rng, "abc", 400),
    }
}

fn jid(rng: &mut StdRng) -> Jid {
    let user = rng.random_range(10_000_000u64..999_999_999_999).to_string();
    let device = rng.random_range(1..=99);
    match rng.random_range(0..5) {
        0 => Jid::pn(user.as_str()),
        1 => Jid::lid(user.as_str()),
        2 => Jid::pn_device(user.as_str(), device),
        3 => Jid::lid_device(user.as_str(), device),
        _ => format!("{user}@g.us").parse().expect("a group"),
    }
}

fn tree(rng: &mut StdRng, depth: u32) -> Stanza {
    let mut builder = Builder::new(word(rng));
    for key in ["id", "type", "t", "participant", "roost"] {
        builder = match rng.random_range(0..5) {
            0 => builder.attr(key, text(rng)),
            1 => builder.attr(key, jid(rng)),
            _ => builder,
        };
    }
    match rng.random_range(0..4) {
        0 => {
            // On both sides of the limits of the length's forms.
            let length = [1, 31, 255, 256, 257, 5_000][rng.random_range(0..6)];
            let mut bytes = vec![0; length];
            rng.fill_bytes(&mut bytes);
            builder.bytes(bytes).build()
        }
        1 | 2 if depth > 0 => {
            let count = [1, 2, 3, 20][rng.random_range(0..4)];
            let children: Vec<Stanza> = (0..count).map(|_| tree(rng, depth - 1)).collect();
            builder.children(children).build()
        }
        _ => builder.build(),
    }
}

/// What a stanza says, however its parts are spelled.
fn meaning(stanza: &Stanza) -> String {
    let mut attributes: Vec<String> = stanza
        .attrs
        .iter()
        .map(|(key, _)| format!("{key}={:?}", stanza.text(key).unwrap_or_default()))
        .collect();
    attributes.sort_unstable();
    let children: Vec<String> = stanza.all().iter().map(meaning).collect();
    let leaf = stanza.leaf().map(hex::encode).unwrap_or_default();
    format!("<{} {}>{leaf}{}</>", stanza.tag, attributes.join(" "), children.join(""))
}

#[tokio::test]
async fn stanzas_say_the_same_after_another_library_has_read_and_written_them() -> Result<(), Failure> {
    let (count, seed) = (number("ROOST_TREES", 300), number("ROOST_SEED", 0));
    let stage = Stage::set().await?;
    for library in [Library::Whatsmeow, Library::Baileys] {
        let mut client = stage.client(library, &format!("{library:?}")).await?;
        let seeds: Vec<u64> = (seed..seed + count).collect();
        for batch in seeds.chunks(BATCH) {
            let trees: Vec<Stanza> =
                batch.iter().map(|seed| tree(&mut StdRng::seed_from_u64(*seed), 3)).collect();
            let written: Vec<Vec<u8>> = trees.iter().map(stanza::encode).collect::<Result<_, _>>()?;
            let recoded = client.recode(&written).await?;
            assert_eq!(recoded.len(), trees.len());
            for ((seed, tree), bytes) in batch.iter().zip(&trees).zip(recoded) {
                let bytes =
                    bytes.map_err(|error| Failure::new(format!("{library:?}, seed {seed}: {error}")))?;
                let read = stanza::decode(&bytes)?;
                assert_eq!(meaning(&read), meaning(tree), "{library:?}, seed {seed}");
            }
        }
    }
    Ok(())
}
