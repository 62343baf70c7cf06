//! Unmodified whatsmeow, Baileys and whatsapp-rust among themselves, with nothing of Roost in between but the simulated
//! WhatsApp: groups, files, people, posts and newsletters. Messages of every kind are in `kinds.rs`, changes of chats
//! in `interop_chats.rs`.
//!
//! Needs Go and Node.js, and fails without them: `.ci/test` installs both.

#[path = "among/files.rs"]
mod files;
#[path = "among/groups.rs"]
mod groups;
#[path = "among/people.rs"]
mod people;
#[path = "among/posts.rs"]
mod posts;

use roost_simulations::interop::{
    CLIENTS, ClientEvent, Failure, Library, Matrix, Person, RealClient, Stage, Way,
};
use serde_json::{Value, json};

/// Who speaks to whom, by their places.
const WAYS: [(usize, usize); 6] = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];

/// A client of each library, each with an account of its own.
struct Circle {
    stage: Stage,
    members: Vec<Member>,
}

/// One client.
struct Member {
    library: Library,
    client: RealClient,
    person: Person,
}

/// One of them does something, and another sees it.
struct Pair<'a> {
    stage: &'a Stage,
    from: &'a mut Member,
    to: &'a mut Member,
    way: Way,
    /// Who they are, for what is said.
    names: String,
    matrix: &'a mut Matrix,
}

impl Circle {
    /// All of them have written to each other.
    async fn new() -> Result<Circle, Failure> {
        let stage = Stage::set().await?;
        let mut members = Vec::new();
        for (library, name) in CLIENTS {
            let person = stage.person(name);
            let client = stage.paired(library, name, &person).await?;
            members.push(Member { library, client, person });
        }
        let mut circle = Circle { stage, members };
        circle.each(&mut Matrix::among_clients("none"), async |pair| pair.greet().await).await?;
        Ok(circle)
    }

    /// Each with each other one, in turn.
    async fn each(
        &mut self,
        matrix: &mut Matrix,
        talk: impl AsyncFn(&mut Pair<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for (from, to) in WAYS {
            let [from, to] = self.members.get_disjoint_mut([from, to]).expect("two of three");
            let names = format!("{} to {}", from.client.name(), to.client.name());
            let way = Way::Between(from.library, to.library);
            talk(&mut Pair { stage: &self.stage, from, to, way, names: names.clone(), matrix })
                .await
                .map_err(|failure| Failure::new(format!("{names}: {failure:?}")))?;
        }
        Ok(())
    }
}

impl Member {
    /// Carries out a command. Returns what it says.
    async fn does(&mut self, command: Value) -> Result<Value, Failure> {
        Ok(self.client.people(command).await?)
    }

    /// The same for commands that answer with a text.
    async fn names(&mut self, command: Value) -> Result<String, Failure> {
        let what = command.to_string();
        let answer = self.does(command).await?;
        let text = answer.as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| Failure::new(format!("{what} was answered with {answer}")))
    }

    /// Whether a library has written this person's address, of either kind.
    fn is(&self, jid: &str) -> bool {
        let user = jid.split(['@', ':']).next().unwrap_or_default();
        user == self.person.pn.to_string() || user == self.person.lid
    }
}

impl Pair<'_> {
    async fn greet(&mut self) -> Result<(), Failure> {
        let text = format!("hello, {}", self.names);
        self.from.client.send(&self.to.person.lid_jid(), &text).await?;
        self.to.client.message(&text).await?;
        Ok(())
    }

    /// It was seen this way.
    fn seen(&mut self, row: &'static str) {
        self.matrix.row(row).seen(self.way);
    }

    /// The same with the two in each other's place.
    fn seen_back(&mut self, row: &'static str) {
        let way = self.way_back();
        self.matrix.row(row).seen(way);
    }

    fn way_back(&self) -> Way {
        Way::Between(self.to.library, self.from.library)
    }

    fn cannot(&mut self, row: &'static str, reason: &str) {
        self.matrix.row(row).not_applicable(self.way, reason);
    }
}

#[tokio::test]
async fn clients_see_each_others_groups() -> Result<(), Failure> {
    let mut circle = Circle::new().await?;
    let mut matrix = Matrix::among_clients("2-groups");
    circle.each(&mut matrix, async |pair| pair.groups().await).await?;
    circle.each(&mut matrix, async |pair| pair.communities().await).await?;
    // Nobody adds them from here on.
    for member in &mut circle.members {
        member.does(json!({ "cmd": "only_invited" })).await?;
    }
    circle.each(&mut matrix, async |pair| pair.invites().await).await?;
    matrix.check()
}

#[tokio::test]
async fn clients_see_each_others_files() -> Result<(), Failure> {
    let mut circle = Circle::new().await?;
    let mut matrix = Matrix::among_clients("3-media");
    circle.each(&mut matrix, async |pair| pair.files().await).await?;
    matrix.check()
}

#[tokio::test]
async fn clients_see_each_others_profiles_and_presence() -> Result<(), Failure> {
    let mut circle = Circle::new().await?;
    let mut matrix = Matrix::among_clients("5-people");
    circle.each(&mut matrix, async |pair| pair.presence().await).await?;
    circle.each(&mut matrix, async |pair| pair.profiles().await).await?;
    circle.each(&mut matrix, async |pair| pair.calls().await).await?;
    for member in &mut circle.members {
        member.does(json!({ "cmd": "hide_about" })).await?;
    }
    circle.each(&mut matrix, async |pair| pair.hidden().await).await?;
    circle.each(&mut matrix, async |pair| pair.tokens().await).await?;
    matrix.check()
}

#[tokio::test]
async fn clients_see_each_others_posts_newsletters_and_goods() -> Result<(), Failure> {
    let mut circle = Circle::new().await?;
    let mut matrix = Matrix::among_clients("6-posts");
    circle.each(&mut matrix, async |pair| pair.posts().await).await?;
    circle.each(&mut matrix, async |pair| pair.newsletters().await).await?;
    circle.each(&mut matrix, async |pair| pair.businesses().await).await?;
    matrix.check()
}
