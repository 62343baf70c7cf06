//! Files in and out through any node, without WhatsApp.

use std::path::Path;
use std::process::Command;

use roost_node::client::Client;
use roost_node::media::round;
use roost_proto::api::download_media_response::Part as Down;
use roost_proto::api::media::Kind;
use roost_proto::api::upload_media_request::{Header, Part as Up};
use roost_proto::api::*;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};

use crate::world::{World, bad_field, by, refusal};

pub(crate) fn header(kind: Kind, mime_type: &str) -> Header {
    Header {
        parent: "tenants/acme".into(),
        kind: kind.into(),
        mime_type: mime_type.into(),
        ..Default::default()
    }
}

pub(crate) async fn upload(client: Client, header: Header, file: &[u8]) -> Result<Media, Status> {
    let part = |part| UploadMediaRequest { part: Some(part) };
    let mut parts = vec![part(Up::Header(header))];
    parts.extend(file.chunks(100_000).map(|piece| part(Up::Data(piece.to_vec()))));
    client.media().upload_media(tokio_stream::iter(parts)).await.map(tonic::Response::into_inner)
}

async fn download(client: Client, name: &str, offset: u64, limit: u64) -> Result<(Media, Vec<u8>), Status> {
    let wanted = DownloadMediaRequest { name: name.into(), offset, limit };
    let mut parts = client.media().download_media(wanted).await?.into_inner();
    let (mut media, mut file) = (None, Vec::new());
    while let Some(answer) = parts.message().await? {
        match answer.part.expect("a part") {
            Down::Media(described) => media = Some(described),
            Down::Data(data) => file.extend(data),
        }
    }
    Ok((media.expect("it comes first"), file))
}

/// A voice message of 2.4 seconds, and a film of 3.
const VOICE: &[u8] = include_bytes!("../../../node/src/media/look/kept/voice.ogg");
const FILM: &[u8] = include_bytes!("../../../node/src/media/look/kept/film.mp4");

/// Breaks a header.
type Change = fn(&mut Header);

fn file(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn a_file_that_one_node_took_is_given_by_another() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let file = file(300_001);
    let media = upload(world.at(0), header(Kind::Document, "application/pdf"), &file).await.expect("taken");
    assert_eq!(media.sha256, Sha256::digest(&file).to_vec());
    assert_eq!((media.size_bytes, media.kind()), (300_001, Kind::Document));
    assert!(media.expire_time.expect("kept for a while").seconds > media.create_time.expect("now").seconds);
    let (described, whole) = download(world.at(1), &media.name, 0, 0).await.expect("given");
    assert_eq!((described, &whole), (media.clone(), &file));
    let (_, part) = download(world.at(1), &media.name, 65_500, 100).await.expect("given");
    assert_eq!(part, &file[65_500..65_600]);
    let (_, rest) = download(world.at(0), &media.name, 300_000, 0).await.expect("given");
    assert_eq!(rest, &file[300_000..]);
    let shown = world.at(1).media().get_media(GetMediaRequest { name: media.name.clone() }).await;
    assert_eq!(shown.expect("described").into_inner(), media);
}

#[tokio::test]
async fn a_picture_is_described_by_what_is_in_it() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    // A PNG of 3 by 2 pixels, black.
    let png = hex::decode(
        "89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000000b49\
         444154789c6360c00400001400017dfe1eee0000000049454e44ae426082",
    );
    let png = png.expect("hex");
    let media = upload(world.at(0), header(Kind::Image, "image/png"), &png).await.expect("taken");
    let broken = upload(world.at(0), header(Kind::Image, "image/png"), &png[..40]).await.expect("taken too");
    assert_eq!((broken.width, broken.height, broken.thumbnail.len()), (0, 0, 0));
    let given = Header { width: 7, height: 8, thumbnail: vec![1], ..header(Kind::Image, "image/png") };
    let given = upload(world.at(0), given, &png).await.expect("taken");
    assert_eq!((given.width, given.height, given.thumbnail), (7, 8, vec![1]));
    assert_eq!((media.width, media.height), (3, 2), "{media:?}");
    assert!(media.thumbnail.starts_with(&[0xff, 0xd8]), "a JPEG");
}

#[tokio::test]
async fn a_voice_message_is_described_by_what_is_heard_in_it() {
    let world = World::new(2).await;
    world.tenant("acme").await;
    let voice = || header(Kind::Audio, "audio/ogg; codecs=opus");
    let media = upload(world.at(0), voice(), VOICE).await.expect("taken");
    assert_eq!(media.duration, Some(Duration { seconds: 2, nanos: 0 }));
    assert_eq!((media.waveform.len(), media.waveform.iter().max()), (64, Some(&100)));
    let shown = world.at(1).media().get_media(GetMediaRequest { name: media.name.clone() }).await;
    assert_eq!(shown.expect("described").into_inner(), media);
    // What the caller says is so.
    let given = Header { duration: Some(Duration { seconds: 7, nanos: 5 }), ..voice() };
    let given = upload(world.at(0), given, VOICE).await.expect("taken");
    assert_eq!(
        (given.duration, given.waveform),
        (Some(Duration { seconds: 7, nanos: 5 }), media.waveform.clone())
    );
    let given = Header { waveform: vec![1, 2], ..voice() };
    let given = upload(world.at(0), given, VOICE).await.expect("taken");
    assert_eq!((given.duration, given.waveform), (media.duration, vec![1, 2]));
    // What cannot be read is sent all the same.
    let broken = upload(world.at(0), voice(), &file(5000)).await.expect("taken too");
    assert_eq!((broken.duration, broken.waveform.len()), (None, 0));
    let unknown = upload(world.at(0), header(Kind::Document, "audio/ogg"), VOICE).await.expect("taken too");
    assert_eq!((unknown.duration, unknown.waveform.len()), (None, 0));
}

#[tokio::test]
async fn a_film_is_described_by_what_its_container_tells() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let media = upload(world.at(0), header(Kind::Video, "video/mp4"), FILM).await.expect("taken");
    assert_eq!((media.width, media.height), (64, 48));
    assert_eq!((media.duration, media.thumbnail.len()), (Some(Duration { seconds: 3, nanos: 0 }), 0));
    let given = Header { width: 7, height: 8, ..header(Kind::Video, "video/mp4") };
    let given = upload(world.at(0), given, FILM).await.expect("taken");
    assert_eq!((given.width, given.height, given.duration), (7, 8, media.duration));
    let broken =
        upload(world.at(0), header(Kind::Video, "video/mp4"), &FILM[..500]).await.expect("taken too");
    assert_eq!((broken.width, broken.height, broken.duration), (0, 0, None));
}

#[tokio::test]
async fn a_film_has_a_still_where_there_is_an_ffmpeg() {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join("ffmpeg")).find(|path| path.is_file());
    let Some(ffmpeg) = found else {
        eprintln!("left out: there is no ffmpeg");
        return;
    };
    // A film as cameras make them: it lies on its side, and what it tells of itself stands at its end.
    let folder = tempfile::tempdir().expect("a folder");
    let (film, turned) = (folder.path().join("film.mp4"), folder.path().join("turned.mp4"));
    let run = |arguments: &[&str], to: &Path| {
        let mut made = Command::new(&ffmpeg);
        let made = made.args(["-v", "error"]).args(arguments).arg(to).status().expect("it runs");
        assert!(made.success(), "{arguments:?}");
    };
    run(&["-f", "lavfi", "-i", "testsrc=d=2:s=320x240:r=5", "-pix_fmt", "yuv420p"], &film);
    let film = film.display().to_string();
    run(&["-i", &film, "-c", "copy", "-metadata:s:v:0", "rotate=90"], &turned);
    let turned = std::fs::read(turned).expect("a film");

    let world = World::with_ffmpeg(1, Some(ffmpeg)).await;
    world.tenant("acme").await;
    let media = upload(world.at(0), header(Kind::Video, "video/mp4"), &turned).await.expect("taken");
    assert_eq!((media.width, media.height), (240, 320), "as it is shown");
    assert!(media.thumbnail.starts_with(&[0xff, 0xd8]), "a JPEG");
    // The still itself, as another program sees it, is as high as the film.
    let size = |still: &[u8]| {
        let at = still.windows(2).position(|two| two == [0xff, 0xc0]).expect("a header of the picture");
        let side = |at: usize| u16::from_be_bytes([still[at], still[at + 1]]);
        (side(at + 7), side(at + 5))
    };
    assert_eq!(size(&media.thumbnail), (75, 100));
    let given = Header { thumbnail: vec![1], ..header(Kind::Video, "video/mp4") };
    let given = upload(world.at(0), given, &turned).await.expect("taken");
    assert_eq!((given.thumbnail, given.width), (vec![1], 240));
    let broken = upload(world.at(0), header(Kind::Video, "video/mp4"), &file(5000)).await.expect("taken too");
    assert_eq!((broken.thumbnail.len(), broken.width), (0, 0));
    let left = std::fs::read_dir(&world.media.options.spool).expect("a folder").count();
    assert_eq!(left, 0, "nothing stays behind");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let with = |change: Change| {
        let mut header = header(Kind::Video, "video/mp4");
        change(&mut header);
        header
    };
    let cases: [(Change, &str); 8] = [
        (|header| header.parent = "acme".into(), "header.parent"),
        (|header| header.kind = 0, "header.kind"),
        (|header| header.mime_type = "mp4".into(), "header.mime_type"),
        (|header| header.file_name = "a\nb".into(), "header.file_name"),
        (|header| header.thumbnail = vec![0; 70_000], "header.thumbnail"),
        (|header| header.waveform = vec![101], "header.waveform"),
        (|header| header.sha256 = vec![0; 31], "header.sha256"),
        (|header| header.sha256 = vec![0; 32], "header.sha256"),
    ];
    for (change, field) in cases {
        assert_eq!(bad_field(upload(world.at(0), with(change), b"film").await), field);
    }
    assert_eq!(bad_field(upload(world.at(0), header(Kind::Video, "video/mp4"), b"").await), "data");
    let large = upload(world.at(0), header(Kind::Video, "video/mp4"), &file((1 << 20) + 1)).await;
    assert_eq!(bad_field(large.clone()), "data");
    assert_eq!(refusal(large), (Code::InvalidArgument, "MEDIA_TOO_LARGE".into()));
    let parts = [Up::Header(header(Kind::Video, "video/mp4")), Up::Data(file(3 << 20))];
    let parts = parts.map(|part| UploadMediaRequest { part: Some(part) });
    let piece = world.at(0).media().upload_media(tokio_stream::iter(parts)).await;
    assert_eq!(bad_field(piece), "data", "more than a message may have");
    let strange = Header { parent: "tenants/nobody".into(), ..header(Kind::Video, "video/mp4") };
    assert_eq!(refusal(upload(world.at(0), strange, b"film").await).1, "TENANT_NOT_FOUND");
    let headless = tokio_stream::once(UploadMediaRequest { part: Some(Up::Data(vec![1])) });
    assert_eq!(bad_field(world.at(0).media().upload_media(headless).await), "header");
}

#[tokio::test]
async fn a_file_belongs_to_its_tenant() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    world.tenant("globex").await;
    let media = upload(world.at(0), header(Kind::Audio, "audio/ogg"), b"sound").await.expect("taken");
    let name = media.name.clone();
    let asked = world.at(0).media().get_media(by("globex", GetMediaRequest { name: name.clone() })).await;
    assert_eq!(refusal(asked), (Code::PermissionDenied, "TENANT_FORBIDDEN".into()));
    let gone =
        world.at(0).media().delete_media(by("globex", DeleteMediaRequest { name: name.clone() })).await;
    assert_eq!(refusal(gone).1, "TENANT_FORBIDDEN");
    let wanted = DownloadMediaRequest { name: name.clone(), offset: 0, limit: 0 };
    let given = world.at(0).media().download_media(by("globex", wanted)).await.map(drop);
    assert_eq!(refusal(given).1, "TENANT_FORBIDDEN");
    let theirs = name.replace("acme", "globex");
    assert_eq!(refusal(download(world.at(0), &theirs, 0, 0).await).1, "MEDIA_NOT_FOUND");
}

#[tokio::test]
async fn a_file_is_forgotten_on_request_and_when_its_time_is_over() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let client = || world.at(0).media();
    let first = upload(world.at(0), header(Kind::Audio, "audio/ogg"), b"first").await.expect("taken");
    let second = upload(world.at(0), header(Kind::Audio, "audio/ogg"), b"second").await.expect("taken");
    let delete = DeleteMediaRequest { name: first.name.clone() };
    client().delete_media(delete.clone()).await.expect("gone");
    assert_eq!(refusal(client().delete_media(delete).await).1, "MEDIA_NOT_FOUND");
    assert_eq!(refusal(download(world.at(0), &first.name, 0, 0).await).1, "MEDIA_NOT_FOUND");
    let refresh = RefreshMediaRequest { name: second.name.clone() };
    assert_eq!(bad_field(client().refresh_media(refresh).await), "name");

    assert_eq!(round(&*world.store, &world.media, std::time::Duration::from_secs(3600)).await, 0);
    assert_eq!(round(&*world.store, &world.media, std::time::Duration::ZERO).await, 1);
    assert_eq!(refusal(download(world.at(0), &second.name, 0, 0).await).1, "MEDIA_NOT_FOUND");
}

#[tokio::test]
async fn a_blob_that_was_lost_or_changed_is_never_taken_for_the_file() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    let media = upload(world.at(0), header(Kind::Document, "text/plain"), &file(1000)).await.expect("taken");
    let id = media.name.rsplit('/').next().expect("an id");
    let path = world.files().join("acme").join(id);
    let mut blob = std::fs::read(&path).expect("it is in the folder");
    blob[500] ^= 1;
    std::fs::write(&path, blob).expect("written");
    let changed = download(world.at(0), &media.name, 0, 10).await;
    assert_eq!(refusal(changed), (Code::DataLoss, "MEDIA_CORRUPT".into()));
    std::fs::remove_file(&path).expect("removed");
    let lost = download(world.at(0), &media.name, 0, 0).await;
    assert_eq!(refusal(lost), (Code::FailedPrecondition, "MEDIA_EXPIRED".into()));
}

#[tokio::test]
async fn what_is_wrong_with_a_question_for_a_pack_of_stickers_is_said() {
    let world = World::new(1).await;
    world.tenant("acme").await;
    world.device("tenants/acme/devices/shop").await;
    let ask = async |device: &str, pack_id: &str, language: &str| {
        let wanted = GetStickerPackRequest {
            device: device.into(),
            pack_id: pack_id.into(),
            language: language.into(),
        };
        world.at(0).media().get_sticker_pack(wanted).await
    };
    let shop = "tenants/acme/devices/shop";
    assert_eq!(bad_field(ask("shop", "hens", "").await), "device");
    for bad in ["", "he/ns", "hens?id=geese", &"x".repeat(129)] {
        assert_eq!(bad_field(ask(shop, bad, "").await), "pack_id", "{bad}");
    }
    assert_eq!(bad_field(ask(shop, "hens", "en&id=geese").await), "language");
    assert_eq!(refusal(ask("tenants/acme/devices/none", "hens", "").await).1, "DEVICE_NOT_FOUND");
    // This node speaks TLS with nobody.
    let unreachable = ask(shop, "hens", "pt_BR").await;
    assert_eq!(refusal(unreachable), (Code::Unavailable, "MEDIA_HOSTS_FAILED".into()));
}
