//! Works of one kind that wait at one time and are done as one.

use async_trait::async_trait;
use hypersdk_core::Result;
use tokio::sync::oneshot;

use super::error::failed;
use super::transaction::Transaction;
use super::writer::{Ran, Work};

/// A kind of work of which many are done in about as many statements as one.
#[async_trait]
pub(super) trait Alike: Sized + Send + Sync + 'static {
    /// What each gives its caller.
    type Answer: Send + 'static;

    const OPERATION: &'static str;

    /// Does all of them, and says of each what became of it. One that is refused has written nothing.
    ///
    /// # Errors
    /// Nobody knows which of them is to blame; all of them are to be undone.
    async fn all(works: &[Self], transaction: &mut Transaction) -> Result<Vec<Result<Self::Answer>>>;
}

/// Works that are done as one, and their callers.
pub(super) struct Group<A: Alike> {
    works: Vec<A>,
    replies: Vec<oneshot::Sender<Result<A::Answer>>>,
}

impl<A: Alike> Group<A> {
    /// A work alone, and where its result will be.
    pub(super) fn of(work: A) -> (Self, oneshot::Receiver<Result<A::Answer>>) {
        let (reply, result) = oneshot::channel();
        (Group { works: vec![work], replies: vec![reply] }, result)
    }

    /// Takes in what waits behind it.
    pub(super) fn join(&mut self, other: Self) {
        self.works.extend(other.works);
        self.replies.extend(other.replies);
    }
}

#[async_trait]
impl<A: Alike> Work for Group<A> {
    async fn run(self: Box<Self>, transaction: &mut Transaction) -> Ran {
        let Group { works, mut replies } = *self;
        let error = match A::all(&works, transaction).await {
            Ok(answers) => {
                return Ran::Done(Box::new(move |error| {
                    for (reply, answer) in replies.into_iter().zip(answers) {
                        // A caller that has gone does not want its answer; the change stands all the same.
                        drop(reply.send(match error {
                            None => answer.map_err(|error| error.context(A::OPERATION)),
                            Some(error) => Err(failed(A::OPERATION, error)),
                        }));
                    }
                }));
            }
            Err(error) => error,
        };
        if works.len() == 1 {
            replies.pop().map(|reply| reply.send(Err(error.context(A::OPERATION))));
            return Ran::Undo;
        }
        let alone =
            |(work, reply)| Box::new(Group { works: vec![work], replies: vec![reply] }) as Box<dyn Work>;
        Ran::Apart(works.into_iter().zip(replies).map(alone).collect())
    }

    fn refuse(self: Box<Self>, error: &sqlx::Error) {
        for reply in self.replies {
            drop(reply.send(Err(failed(A::OPERATION, error))));
        }
    }
}
