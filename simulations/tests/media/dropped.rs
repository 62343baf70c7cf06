//! Files that the servers have dropped: the phone uploads them again, for Roost and for the clients.

use super::*;

impl World {
    pub(super) async fn dropped(&mut self) -> Result<Matrix, Failure> {
        let world = self;
        let mut matrix = Matrix::new("3-media-lost");
        let (path, hash) = world.file("dropped", 300_000)?;
        let row = "file that expired, uploaded again by the phone";
        for (client, status) in [(0, 404), (1, 410), (2, 404)] {
            let content = world.sends(client, "document", "application/pdf", &path).await?;
            let before = media_of(&content).cloned().unwrap_or_default();
            world.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status })?;
            let (_, fetched) = world.fetched(&content).await?;
            assert_eq!(fetched, (300_000, hash.clone()));
            let asked = GetMediaRequest { name: before.name.clone() };
            let after = world.cluster.ask(asked, async |api, it| api.media().get_media(it).await).await?;
            assert_ne!(
                after.file.unwrap_or_default().direct_path,
                before.file.unwrap_or_default().direct_path
            );
            // The new place is remembered: nobody is asked again.
            world.stage.sim.commit(&Fault::PhonesForgetMedia { forget: true })?;
            assert_eq!(world.fetched(&content).await?.1.1, hash);
            world.stage.sim.commit(&Fault::ExpireMedia { direct_path: None, status })?;
            let refused = world.cluster.refusal(async |api| fetch(&api, &before.name).await).await?;
            let info = refused.get_details_error_info().expect("it says why");
            assert_eq!((refused.code(), info.reason.as_str()), (Code::FailedPrecondition, "MEDIA_EXPIRED"));
            world.stage.sim.commit(&Fault::PhonesForgetMedia { forget: false })?;
            matrix.row(row).seen(ways(client).0);
            world.forwards(client, status).await?;

            for forget in [true, false] {
                world.stage.sim.commit(&Fault::PhonesForgetMedia { forget })?;
                let (id, hash) = world.misses(client, status).await?;
                let (late, _) = &mut world.clients[client];
                if forget {
                    // Each library has its own way to write it.
                    let fits = |event: &ClientEvent| {
                        matches!(event, ClientEvent::Error { message, .. }
                        if message.to_lowercase().replace('_', "").contains("notfound"))
                    };
                    late.wait("that the phone has no such file", fits).await?;
                } else {
                    assert_eq!(late.file(&id).await?.sha256, hash);
                    matrix.row(row).seen(ways(client).1);
                }
            }
        }
        Ok(matrix)
    }
}
