//! A partner that goes down for some seconds, in real time: the real queue, the real door and both databases between a
//! backlog of jobs and a server that writes down when it was called.

#[cfg(test)]
mod drain;
#[cfg(test)]
mod house;
#[cfg(test)]
mod partner;
