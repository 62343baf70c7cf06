//! The ids that a client chooses. The server answers by them, so they must not repeat on a connection;
//! message ids must not repeat at all.

use rand::CryptoRng;

/// Ids of requests on one connection: `<prefix>-1`, `<prefix>-2`, …, the shape that clients use.
#[derive(Debug)]
pub struct ClientIds {
    prefix: String,
    last: u64,
}

impl ClientIds {
    /// A fresh sequence with a random prefix.
    pub fn new<R: CryptoRng>(rng: &mut R) -> Self {
        let random = rng.next_u32();
        Self { prefix: format!("{}.{}", random >> 16, random & 0xffff), last: 0 }
    }

    /// The next id.
    pub fn next_id(&mut self) -> String {
        self.last += 1;
        format!("{}-{}", self.prefix, self.last)
    }
}

/// A message id: `3EB0` and 18 random hexadecimal digits, the shape of WhatsApp Web.
pub fn message_id<R: CryptoRng>(rng: &mut R) -> String {
    let mut random = [0; 9];
    rng.fill_bytes(&mut random);
    format!("3EB0{}", hex::encode_upper(random))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn ids_have_the_shapes_that_servers_see() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(4);
        let mut ids = ClientIds::new(&mut rng);
        let (first, second) = (ids.next_id(), ids.next_id());
        assert!(first.ends_with("-1") && second.ends_with("-2"));
        let id = message_id(&mut rng);
        assert_eq!((id.len(), &id[..4]), (22, "3EB0"));
    }
}
