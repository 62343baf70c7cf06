//! Services that are told when something comes for a device.

use super::*;

#[test]
fn a_push_service_is_kept_and_one_that_cannot_be_is_refused() {
    let mut world = World::new();
    let ada = world.linked("ada");
    let device = world.device(ada);
    let mut registers = |attrs: &[(&'static str, &str)]| {
        let config = attrs
            .iter()
            .fold(Builder::new("config"), |config, (name, value)| config.attr(name, (*value).to_owned()));
        let set = iq::request("p", "set", "urn:xmpp:whatsapp:push", server_jid());
        let answer = world.ask(ada, set.children([config.build()]).build());
        let kept = world.machine.account(device.pn).companions[&device.device].push.clone();
        (answer.child("error").and_then(|error| error.number("code")), kept)
    };
    // Sixteen bytes, and sixty-five.
    let (auth, point) = ("AAAAAAAAAAAAAAAAAAAAAA==", format!("{}A=", "A".repeat(86)));
    let web = |endpoint, auth, point| {
        [("platform", "web"), ("endpoint", endpoint), ("auth", auth), ("p256dh", point)]
    };
    let (refused, kept) = registers(&web("https://push.example/1", auth, &point));
    assert_eq!((refused, kept["endpoint"].as_str(), kept.len()), (None, "https://push.example/1", 4));
    for bad in [
        &web("http://push.example/1", auth, &point)[..],
        &web("https://push.example/1", &point, &point),
        &web("https://push.example/1", auth, auth),
        &web("https://push.example/1", "", &point),
        &[("platform", "gcm"), ("num_acc", "1")],
        &[("platform", "apple"), ("id", "token")],
        &[("platform", "pigeon"), ("id", "token")],
        &[],
    ] {
        let (refused, still) = registers(bad);
        assert_eq!((refused, &still), (Some(400), &kept), "{bad:?}");
    }
    let key = "A".repeat(43);
    let mut apple: Vec<(&'static str, &str)> =
        ["id", "version", "reg_push", "preview", "background_location"]
            .into_iter()
            .chain(["call", "default", "groups", "lg", "lc", "nse_call", "nse_ver", "nse_read"])
            .chain(["voip_payload_type"])
            .map(|name| (name, "1"))
            .chain([("platform", "apple"), ("pkey", &*key)])
            .collect();
    assert_eq!(registers(&apple).0, None, "the last may be left out");
    let long = "1".repeat(8193);
    apple.push(("voip", &long));
    let (refused, kept) = registers(&apple);
    assert_eq!((refused, kept.get("voip")), (Some(400), None), "but is as short as the others");
    let (refused, kept) = registers(&[("platform", "gcm"), ("id", "token"), ("num_acc", "1")]);
    assert_eq!((refused, kept["id"].as_str(), kept.get("endpoint")), (None, "token", None));
}
