//! Edits, reactions and comments that are encrypted under the secret of their message.

use super::*;

/// A message of ours in the announcement group, with a secret, and the two sides of it.
const SECRET: [u8; 32] = [9; 32];

fn parties<'a>(author: &'a [String], by: &'a [String]) -> Parties<'a> {
    Parties { id: "3EB0TARGET", author, answerer: by }
}

#[test]
fn concealed_reactions_and_comments_open_with_the_secret_of_their_message() {
    let secret = Secret { key: SECRET.to_vec(), options: Vec::new(), lasting: false };
    let around = around();
    let (author, by) = (vec!["7654321@lid".to_owned()], vec![around.own.to_string()]);
    let reaction = api::Reaction { message: target(false), emoji: "🐓".into(), concealed: true };
    let comment = api::Comment { message: target(false), text: "well said".into() };
    for content in [Content::Reaction(reaction), Content::Comment(comment)] {
        let content = plain(content);
        assert_eq!(answered(&content).map(|about| about.whatsapp_id.as_str()), Some("3EB0TARGET"));
        let bytes = seal(&content, &around, &secret, &author[0], [3; 12]).expect("sealed");
        let Ok(Meaning::Concealed(concealed)) = read(&bytes) else { panic!("it is concealed") };
        let other = Secret { key: vec![8; 32], ..secret.clone() };
        assert_eq!(concealed.reveal(&other, parties(&author, &by)), None);
        match concealed.reveal(&secret, parties(&author, &by)).expect("opens") {
            Meaning::Reacted(about, emoji) => assert_eq!((about.id.as_str(), &*emoji), ("3EB0TARGET", "🐓")),
            Meaning::Commented(about, said) => {
                assert_eq!(about.id, "3EB0TARGET");
                assert_eq!(said.content, Received::Text("well said".into()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_concealed_edit_opens_with_the_secret_beside_it_and_edits_what_it_names_outside() {
    use aes_gcm::aead::{Aead as _, Payload};
    use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
    use waproto::buffa::Message as _;
    use waproto::whatsapp::message::SecretEncryptedMessage;
    use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
    use waproto::whatsapp::{Message, MessageContextInfo, MessageKey};
    let author = ["7654321@lid".to_owned()];
    let edit = Content::Edit(api::EditMessage { whatsapp_id: "3EB0TARGET".into(), text: "better".into() });
    let inner = encode(&plain(edit), &around());
    let mut key = [0; 32];
    let info = ["3EB0TARGET", &author[0], &author[0], "Message Edit"].concat();
    hkdf::Hkdf::<sha2::Sha256>::new(None, &SECRET).expand(info.as_bytes(), &mut key).expect("32 bytes");
    let cipher = Aes256Gcm::new_from_slice(&key).expect("32 bytes");
    let sealed = cipher.encrypt(&Nonce::from([5; 12]), Payload { msg: &inner, aad: &[] }).expect("sealed");
    let target = MessageKey { id: Some("3EB0TARGET".into()), from_me: Some(true), ..Default::default() };
    let envelope = Message {
        secret_encrypted_message: SecretEncryptedMessage {
            target_message_key: target.into(),
            enc_payload: Some(sealed),
            enc_iv: Some(vec![5; 12]),
            secret_enc_type: Some(SecretEncType::MESSAGE_EDIT),
            ..Default::default()
        }
        .into(),
        message_context_info: MessageContextInfo {
            message_secret: Some(SECRET.to_vec()),
            ..Default::default()
        }
        .into(),
        ..Default::default()
    };
    let bytes = envelope.encode_to_vec();
    assert_eq!(Secret::of(&bytes), None, "it is the secret of another message");
    let Ok(Meaning::Concealed(concealed)) = read(&bytes) else { panic!("it is concealed") };
    let secret = concealed.secret.clone().expect("beside it");
    let revealed = concealed.reveal(&secret, parties(&author, &author)).expect("opens");
    let Meaning::Edited { message, content } = revealed else { panic!("{revealed:?}") };
    assert_eq!((message.id.as_str(), message.of_the_sender), ("3EB0TARGET", true));
    assert_eq!(content, api::message_edited::Content::Text("better".into()));
}
