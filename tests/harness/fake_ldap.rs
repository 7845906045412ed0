//! A pretended LDAP server, for what OpenLDAP does not do: it answers as a test tells it to (RFC 4511).
//!
//! It writes down everything it is asked, passwords included.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::ber::{Element, constructed, element, take, text};

/// What a client asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// To be taken for this one.
    Bind {
        /// Who.
        dn: String,
        /// With which password.
        password: String,
    },
    /// For entries.
    Search {
        /// Below which.
        base: String,
        /// Which attributes.
        attributes: Vec<String>,
        /// The filter, with every text that is in it.
        filter: String,
    },
    /// For something else, by its number.
    Extended(String),
}

/// One thing the server does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends an entry: its DN, its attributes.
    Entry(String, Vec<(String, Vec<String>)>),
    /// Sends a search result reference.
    Reference(String),
    /// Ends the answer with this code.
    Done(u32),
    /// Ends the answer with code 10, pointing there.
    Referral(String),
    /// Ends the answer to an extended operation with success and this value.
    Value(String),
    /// Sends these bytes, one by one, so long after one another.
    Drip(Vec<u8>, Duration),
    /// Closes the connection.
    Close,
}

/// A running server.
#[derive(Debug)]
pub struct FakeLdap {
    /// Where it listens, on loopback.
    pub port: u16,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl FakeLdap {
    /// Starts it; `answer` says what it does when asked something.
    pub fn start(answer: impl Fn(&Question) -> Vec<Act> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let fake = Self { port: listener.local_addr()?.port(), asked: Arc::default() };
        let (asked, answer) = (Arc::clone(&fake.asked), Arc::new(answer));
        // Ends with the process: it costs nothing while nobody connects.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &asked, &*answer));
            }
        });
        Ok(fake)
    }

    /// `ldap://…`
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Everything it was asked so far.
    pub fn asked(&self) -> Vec<Question> {
        lock(&self.asked).clone()
    }

    /// The passwords it was sent, the service account's aside.
    pub fn passwords(&self) -> Vec<String> {
        let passwords = self.asked().into_iter().filter_map(|question| match question {
            Question::Bind { password, .. } if password != crate::slapd::SERVICE_PASSWORD => Some(password),
            _ => None,
        });
        passwords.collect()
    }
}

fn lock(asked: &Mutex<Vec<Question>>) -> MutexGuard<'_, Vec<Question>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Question>>, answer: &dyn Fn(&Question) -> Vec<Act>) {
    let (mut unread, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        while let Some((message, rest)) = take(&unread) {
            unread = rest.to_vec();
            let parts = message.children();
            let Some((id, question)) = parts.first().zip(parts.get(1).and_then(question)) else { return };
            lock(asked).push(question.clone());
            for act in answer(&question) {
                if !perform(&mut stream, &id.body, &question, act) {
                    return;
                }
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => unread.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
}

/// `None` for an unbind, or for what it does not know.
fn question(operation: &Element) -> Option<Question> {
    let parts = operation.children();
    match operation.tag {
        0x60 => Some(Question::Bind { dn: parts.get(1)?.as_text(), password: parts.get(2)?.as_text() }),
        0x63 => Some(Question::Search {
            base: parts.first()?.as_text(),
            filter: parts.get(6)?.as_text(),
            attributes: parts.get(7)?.children().iter().map(Element::as_text).collect(),
        }),
        0x77 => Some(Question::Extended(parts.first()?.as_text())),
        _ => None,
    }
}

/// False when the connection is over.
fn perform(stream: &mut TcpStream, id: &[u8], question: &Question, act: Act) -> bool {
    let done = match question {
        Question::Bind { .. } => 0x61,
        Question::Search { .. } => 0x65,
        Question::Extended(_) => 0x78,
    };
    let operation = match act {
        Act::Entry(dn, attributes) => entry(&dn, &attributes),
        Act::Reference(url) => constructed(0x73, &[text(&url)]),
        Act::Done(code) => result(done, code, &[]),
        Act::Referral(url) => result(done, 10, &[constructed(0xa3, &[text(&url)])]),
        Act::Value(value) => result(done, 0, &[element(0x8b, value.as_bytes())]),
        Act::Drip(bytes, pause) => {
            return bytes.iter().all(|byte| {
                thread::sleep(pause);
                stream.write_all(&[*byte]).is_ok()
            });
        }
        Act::Close => return false,
    };
    stream.write_all(&constructed(0x30, &[element(0x02, id), operation])).is_ok()
}

fn entry(dn: &str, attributes: &[(String, Vec<String>)]) -> Vec<u8> {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(name, values)| {
            let values: Vec<_> = values.iter().map(|value| text(value)).collect();
            constructed(0x30, &[text(name), constructed(0x31, &values)])
        })
        .collect();
    constructed(0x64, &[text(dn), constructed(0x30, &attributes)])
}

fn result(tag: u8, code: u32, more: &[Vec<u8>]) -> Vec<u8> {
    let code = element(0x0a, &[code as u8]);
    constructed(tag, &[vec![code, text(""), text("")], more.to_vec()].concat())
}
