use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use kv_core::command::PutResult;
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::node::PendingPut;
use crate::resp::keys::written;
use crate::resp::options::RespOptions;
use crate::resp::reply::{Protocol, Reply};
use crate::resp::request::{Request, RequestReader};
use crate::resp::session::{Door, Execution, Session};
use crate::resp::table::{self, Command};

/// Room for what is read at a time: little for a connection that is quiet, more for one that fills it.
const ROOM_BYTES: (usize, usize) = (512, 16 << 10);

/// Serves one connection until its client leaves, breaks the protocol, or the server stops and what was begun is answered.
pub(super) async fn serve(
    door: Arc<Door>,
    stream: TcpStream,
    address: String,
    options: RespOptions,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let session = Session::open(door, address);
    let reader = RequestReader::new(options.limits);
    let mut connection = Connection {
        session,
        reader,
        stream,
        input: BytesMut::new(),
        room: ROOM_BYTES.0,
        output: BytesMut::new(),
        were_large: (false, false),
        waiting: None,
        running: VecDeque::new(),
        keys: HashMap::new(),
        on_everything: 0,
        window: Window::new(options.commands_max),
        done_bytes: 0,
        backlog_bytes_max: options.limits.request_bytes_max,
        hung_up: false,
        ends: false,
        is_stopped: false,
    };
    connection.run(stop).await
}

struct Connection {
    session: Session,
    reader: RequestReader,
    stream: TcpStream,
    input: BytesMut,
    room: usize,
    output: BytesMut,
    /// Whether much has gathered in the input, and in the output, since they were empty.
    were_large: (bool, bool),
    /// A request that waits for earlier ones on its keys, or for room.
    waiting: Option<(&'static Command, Request)>,
    /// What was begun, in its order.
    running: VecDeque<Slot>,
    /// How many of those are on each key.
    keys: HashMap<Bytes, usize>,
    /// How many are on all keys.
    on_everything: usize,
    window: Window,
    /// Bytes of replies that wait behind commands that run.
    done_bytes: usize,
    /// Most bytes that are read ahead while replies wait for a client that does not read them.
    backlog_bytes_max: usize,
    /// The client sends nothing more.
    hung_up: bool,
    /// No more requests are taken.
    ends: bool,
    /// Because the server stops.
    is_stopped: bool,
}

/// A command that was begun.
struct Slot {
    state: SlotState,
    protocol: Protocol,
    keys: SmallVec<[Bytes; 1]>,
    on_everything: bool,
}

enum SlotState {
    Running(BoxFuture<'static, Reply>),
    Put(PendingPut),
    Done(Reply),
}

impl SlotState {
    /// Takes what was begun further, and says how large the reply is if it has just come to its end.
    fn poll(&mut self, context: &mut Context<'_>) -> Option<usize> {
        let polled = match self {
            SlotState::Running(future) => future.poll_unpin(context),
            SlotState::Put(put) => put.poll_unpin(context).map(ok),
            SlotState::Done(_) => return None,
        };
        let Poll::Ready(reply) = polled else { return None };
        let bytes = reply.bytes();
        *self = SlotState::Done(reply);
        Some(bytes)
    }
}

fn ok(result: PutResult) -> Reply {
    written(result).map_or_else(|reply| reply, |()| Reply::OK)
}

impl Slot {
    fn without_keys(state: SlotState, protocol: Protocol) -> Self {
        Slot { state, protocol, keys: SmallVec::new(), on_everything: false }
    }
}

/// What was read.
enum Next {
    Command(&'static Command, Request),
    /// Something that was answered at once.
    Answered,
    /// Nothing, for now or for ever.
    Nothing,
}

/// How many commands may run at a time. Nobody knows how large replies will be, so it is few at first, more with every small one, and with
/// large ones so few that about [`REPLIES_BYTES`] of them are there at a time.
struct Window {
    size: usize,
    size_max: usize,
}

const WINDOW: usize = 64;

const REPLIES_BYTES: usize = 16 << 20;

impl Window {
    fn new(size_max: usize) -> Self {
        Window { size: WINDOW.min(size_max), size_max }
    }

    fn size(&self) -> usize {
        self.size
    }

    /// Takes note of the size of a reply.
    fn note(&mut self, bytes: usize) {
        let most = (REPLIES_BYTES / bytes.max(1)).clamp(1, self.size_max);
        self.size = (self.size + 1).min(most);
    }
}

/// What a connection woke up for.
enum Woken {
    Progress,
    Read(usize),
    Stop,
}

/// Replies that have gathered are written when there are so many bytes of them, or nothing else can be done.
const OUTPUT_BYTES: usize = 64 << 10;

/// Longest that is waited for a client to go away.
const LINGER: Duration = Duration::from_secs(1);

/// Buffers in which more has gathered are given back when they are empty: a connection that is idle costs little.
const KEPT_BYTES: usize = 2 * OUTPUT_BYTES;

impl Connection {
    async fn run(&mut self, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
        loop {
            self.begin_what_can_be();
            self.collect_replies();
            let writes = !self.output.is_empty();
            give_back(&mut self.input, &mut self.were_large.0);
            give_back(&mut self.output, &mut self.were_large.1);
            if self.ends && !writes && self.running.is_empty() && self.waiting.is_none() {
                return self.close().await;
            }
            // A client that sends much before it reads must be let go on, or both would wait for ever.
            let has_room = if writes {
                self.input.len() < self.backlog_bytes_max
            } else {
                self.waiting.is_none() && self.running.len() < self.window.size()
            };
            let reads = has_room && !self.ends && !self.hung_up;
            if reads {
                // What was only announced takes no more room than what has arrived.
                let missing = self.reader.missing(&self.input).min(self.input.len());
                self.input.reserve(missing.max(self.room));
            }
            let Connection { stream, input, output, running, done_bytes, .. } = self;
            let (mut from, mut to) = stream.split();
            let progress = poll_fn(|context| {
                let mut any = false;
                for slot in running.iter_mut() {
                    if let Some(bytes) = slot.state.poll(context) {
                        *done_bytes += bytes;
                        any = true;
                    }
                }
                if any { Poll::Ready(()) } else { Poll::Pending }
            });
            let woken = tokio::select! {
                biased;
                written = to.write_all_buf(output), if writes => written.map(|()| Woken::Progress)?,
                () = progress => Woken::Progress,
                read = from.read_buf(input), if reads => Woken::Read(read?),
                _ = stop.wait_for(|stop| *stop), if !self.ends => Woken::Stop,
            };
            match woken {
                Woken::Read(0) => self.hung_up = true,
                Woken::Stop => (self.ends, self.is_stopped) = (true, true),
                Woken::Read(length) if length >= self.room => self.room = (self.room * 4).min(ROOM_BYTES.1),
                Woken::Read(_) | Woken::Progress => {}
            }
        }
    }

    /// Closes the connection. If it were closed with something unread, the client's system might throw away replies that it has not read.
    async fn close(&mut self) -> std::io::Result<()> {
        self.stream.shutdown().await?;
        let mut rest = [0; 4 << 10];
        if self.is_stopped && self.input.is_empty() && !matches!(self.stream.try_read(&mut rest), Ok(1..)) {
            return Ok(());
        }
        let unread = async { while self.stream.read(&mut rest).await.is_ok_and(|length| length > 0) {} };
        let _ = tokio::time::timeout(LINGER, unread).await;
        Ok(())
    }

    /// Begins requests in their order, until one has to wait.
    fn begin_what_can_be(&mut self) {
        while self.running.len() < self.window.size()
            && self.output.len() < OUTPUT_BYTES
            && self.done_bytes < REPLIES_BYTES
        {
            let (command, request) = match self.waiting.take() {
                Some(waiting) => waiting,
                None if self.ends => return,
                None => match self.next_request() {
                    Next::Command(command, request) => (command, request),
                    Next::Answered => continue,
                    Next::Nothing => return,
                },
            };
            if self.is_blocked(command, &request) {
                self.waiting = Some((command, request));
                self.collect_replies();
                // Those before it may be done already.
                if self.waiting.as_ref().is_some_and(|(command, request)| self.is_blocked(command, request)) {
                    return;
                }
                continue;
            }
            self.begin(command, &request);
        }
    }

    /// Whether an earlier command on one of its keys runs.
    fn is_blocked(&self, command: &Command, request: &Request) -> bool {
        let mut keys = command.keys(request.len());
        match command.is_on_everything() {
            true => self.on_everything > 0 || !self.keys.is_empty(),
            false if self.on_everything > 0 => keys.next().is_some(),
            false => keys.any(|place| self.keys.contains_key(request.word(place))),
        }
    }

    /// Reads the next request. One that is none of a command is answered at once.
    fn next_request(&mut self) -> Next {
        let request = match self.reader.next(&mut self.input) {
            Ok(Some(request)) => request,
            Ok(None) => {
                self.ends |= self.hung_up;
                return Next::Nothing;
            }
            Err(error) => return self.break_off(error),
        };
        let place = table::place(request.word(0));
        self.session.door.counts.command(place);
        match place.and_then(|place| table::COMMANDS.get(place)) {
            Some(command) if command.takes(request.len()) => return Next::Command(command, request),
            Some(command) => self.answer(Reply::error(format_args!(
                "wrong number of arguments for '{}' command",
                command.name.to_ascii_lowercase()
            ))),
            None if is_of_http(request.word(0)) => {
                return self.break_off("a request of HTTP came where commands are expected");
            }
            None => self.answer(unknown_command(&request)),
        }
        Next::Answered
    }

    /// Says what is wrong and takes nothing more.
    fn break_off(&mut self, error: impl std::fmt::Display) -> Next {
        self.session.door.counts.protocol_errors.fetch_add(1, Ordering::Relaxed);
        self.answer(Reply::error(error));
        self.ends = true;
        Next::Nothing
    }

    fn begin(&mut self, command: &'static Command, request: &Request) {
        let execution = (command.run)(&mut self.session, request);
        let protocol = self.session.protocol;
        let state = match execution {
            Execution::Done(reply) => SlotState::Done(reply),
            Execution::Close(reply) => {
                self.ends = true;
                SlotState::Done(reply)
            }
            Execution::Later(mut future) => match future.as_mut().now_or_never() {
                Some(reply) => SlotState::Done(reply),
                None => SlotState::Running(future),
            },
            Execution::Put(put) => SlotState::Put(put),
        };
        match state {
            SlotState::Done(reply) => self.answer_in(reply, protocol),
            SlotState::Running(_) | SlotState::Put(_) => {
                let keys: SmallVec<[Bytes; 1]> =
                    command.keys(request.len()).map(|place| request.bytes(place)).collect();
                for key in &keys {
                    *self.keys.entry(key.clone()).or_default() += 1;
                }
                let on_everything = command.is_on_everything();
                self.on_everything += usize::from(on_everything);
                self.running.push_back(Slot { state, protocol, keys, on_everything });
            }
        }
    }

    fn answer(&mut self, reply: Reply) {
        self.answer_in(reply, self.session.protocol);
    }

    fn answer_in(&mut self, reply: Reply, protocol: Protocol) {
        if self.running.is_empty() {
            return reply.write(protocol, &mut self.output);
        }
        self.done_bytes += reply.bytes();
        self.running.push_back(Slot::without_keys(SlotState::Done(reply), protocol));
    }

    /// Writes the replies that are due, in order, and frees the keys of everything that is done.
    fn collect_replies(&mut self) {
        for slot in &mut self.running {
            if let SlotState::Done(_) = slot.state {
                self.on_everything -= usize::from(std::mem::take(&mut slot.on_everything));
                for key in slot.keys.drain(..) {
                    if let Some(count) = self.keys.get_mut(&key) {
                        *count -= 1;
                        if *count == 0 {
                            self.keys.remove(&key);
                        }
                    }
                }
            }
        }
        while self.output.len() < OUTPUT_BYTES
            && let Some(Slot { state: SlotState::Done(reply), protocol, .. }) = self.running.front()
        {
            let bytes = reply.bytes();
            self.window.note(bytes);
            self.done_bytes -= bytes;
            reply.write(*protocol, &mut self.output);
            self.running.pop_front();
        }
        if self.running.is_empty() {
            self.running.shrink_to(WINDOW);
            self.keys.shrink_to(WINDOW);
        }
    }
}

fn give_back(buffer: &mut BytesMut, was_large: &mut bool) {
    *was_large |= buffer.len() > KEPT_BYTES;
    if *was_large && buffer.is_empty() {
        (*buffer, *was_large) = (BytesMut::new(), false);
    }
}

/// Whether a line is one of HTTP: a web page that a person on this machine looks at can send such, and commands in them.
fn is_of_http(word: &[u8]) -> bool {
    [&b"POST"[..], b"Host:"].iter().any(|of_http| word.eq_ignore_ascii_case(of_http))
}

fn unknown_command(request: &Request) -> Reply {
    let shown = |word: &[u8]| {
        String::from_utf8_lossy(word.get(..word.len().min(128)).unwrap_or_default()).into_owned()
    };
    let arguments: String = request.words_from(1).take(8).map(|word| format!("'{}' ", shown(word))).collect();
    Reply::error(format_args!(
        "unknown command '{}', with args beginning with: {arguments}",
        shown(request.word(0))
    ))
}
