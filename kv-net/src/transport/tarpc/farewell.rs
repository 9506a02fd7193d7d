//! The end of an accepted connection: a last message, so that its caller knows what became of the requests that are still on their way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{Sink, Stream};
use tarpc::{ClientMessage, Response};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use super::codec::{Goodbye, ResponderCodec, framed};
use super::message::{Answer, Frame};

/// A connection that says goodbye when it is closed. What arrives from then on is thrown away: the caller is told that it was not taken.
#[derive(Debug)]
pub(super) struct Farewell {
    framed: Framed<TcpStream, ResponderCodec>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The other side has closed: there is nobody to say goodbye to.
    Left,
    Said,
    Closed,
}

impl Farewell {
    pub(super) fn new(stream: TcpStream, codec: ResponderCodec) -> Self {
        Farewell { framed: framed(stream, codec), state: State::Open }
    }
}

impl Stream for Farewell {
    type Item = io::Result<ClientMessage<Frame>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let item = ready!(Pin::new(&mut self.framed).poll_next(context));
            match (&item, self.state) {
                (Some(Ok(_)), State::Said | State::Closed) => {}
                (None, State::Open) => {
                    self.state = State::Left;
                    return Poll::Ready(None);
                }
                _ => return Poll::Ready(item),
            }
        }
    }
}

impl Sink<Response<Answer>> for Farewell {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::<Response<Answer>>::poll_ready(Pin::new(&mut self.framed), context)
    }

    fn start_send(mut self: Pin<&mut Self>, response: Response<Answer>) -> io::Result<()> {
        Pin::new(&mut self.framed).start_send(response)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Sink::<Response<Answer>>::poll_flush(Pin::new(&mut self.framed), context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state == State::Open {
            ready!(Sink::<Goodbye>::poll_ready(Pin::new(&mut self.framed), context))?;
            Pin::new(&mut self.framed).start_send(Goodbye)?;
            self.state = State::Said;
        }
        if self.state != State::Closed {
            ready!(Sink::<Goodbye>::poll_close(Pin::new(&mut self.framed), context))?;
            self.state = State::Closed;
        }
        Poll::Ready(Ok(()))
    }
}
