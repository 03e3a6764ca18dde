//! Kinds of frames.

/// What a frame is. Numbers are stable for ever; a new kind gets a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Kind {
    /// First frame of whoever opened the connection.
    Hello = 1,
    /// Answer to HELLO.
    Welcome = 2,
    /// Worker -> controller: one model that it has.
    Inventory = 3,
    /// Controller -> gateway, gateway -> client: one model that is served.
    Catalog = 4,
    /// Controller -> gateway: where a worker listens.
    Peer = 5,
    /// Client -> gateway: a model by name or id; answered by CATALOG.
    Lookup = 6,
    /// Client -> gateway: a request, with its inputs.
    Request = 10,
    /// Gateway -> client: the request's end, with its outputs.
    Response = 11,
    /// Client -> gateway -> controller: a request is taken back.
    Withdraw = 12,
    /// Gateway -> controller: can this be done in time?
    Ask = 20,
    /// Controller -> gateway: yes, there.
    Place = 21,
    /// Controller -> gateway: no.
    Reject = 22,
    /// Gateway -> controller: how a request ended.
    Ended = 23,
    /// Gateway -> worker: a request's inputs.
    Input = 30,
    /// Worker -> gateway: a request's outputs.
    Output = 31,
    /// Controller -> worker: an order.
    Action = 40,
    /// Controller -> worker: an order is taken back.
    Cancel = 41,
    /// Controller -> worker: a slot ends unused.
    Discard = 42,
    /// Worker -> controller: what became of an order.
    Result = 43,
    /// Worker -> controller: slots that come back.
    Freed = 44,
    /// Either way: clock synchronisation.
    Sync = 50,
    /// Control client -> any server: a question.
    StatusQuery = 60,
    /// The answer, as JSON text in the payload.
    StatusReply = 61,
    /// Either way: why the connection ends now.
    Fault = 70,
    /// Either way: the connection ends as it should.
    Goodbye = 71,
}

impl Kind {
    /// All kinds, by their number.
    pub const ALL: [Kind; 25] = [
        Kind::Hello,
        Kind::Welcome,
        Kind::Inventory,
        Kind::Catalog,
        Kind::Peer,
        Kind::Lookup,
        Kind::Request,
        Kind::Response,
        Kind::Withdraw,
        Kind::Ask,
        Kind::Place,
        Kind::Reject,
        Kind::Ended,
        Kind::Input,
        Kind::Output,
        Kind::Action,
        Kind::Cancel,
        Kind::Discard,
        Kind::Result,
        Kind::Freed,
        Kind::Sync,
        Kind::StatusQuery,
        Kind::StatusReply,
        Kind::Fault,
        Kind::Goodbye,
    ];

    /// The kind with this number.
    pub fn from_wire(number: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|&kind| kind as u16 == number)
    }

    /// Whether payload bytes may follow the body.
    pub fn may_carry_payload(self) -> bool {
        matches!(self, Kind::Request | Kind::Response | Kind::Input | Kind::Output | Kind::StatusReply)
    }
}
