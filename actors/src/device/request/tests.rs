//! Recipients as callers write them.

use super::*;

#[test]
fn recipients_are_read_in_their_usual_forms() {
    assert_eq!(Recipient::phone("+4915112345678"), Ok(Recipient::Phone("4915112345678".to_owned())));
    assert_eq!(Recipient::lid("123456@lid").map(|lid| lid.jid()), Ok("123456@lid".to_owned()));
    for bad in ["", "+", "12", "49 151 123", "abc", "1234567890123456"] {
        assert_eq!(Recipient::phone(bad), Err(RecipientError::Phone), "{bad:?}");
    }
    assert_eq!(Recipient::lid("12@s.whatsapp.net"), Err(RecipientError::Lid));
    let group = Recipient::group("120363000000000001@g.us").map(|group| group.jid());
    assert_eq!(group, Ok("120363000000000001@g.us".to_owned()));
    assert!(Recipient::group("4915112345678-1400000000").is_ok());
    for bad in ["", "123", "-1234567890", "1234567890-", "1234567890@lid", "12345678901x"] {
        assert_eq!(Recipient::group(bad), Err(RecipientError::Group), "{bad:?}");
    }
}
