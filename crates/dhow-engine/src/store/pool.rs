//! Parts of containers that are the same in many of them, kept once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Serialize;

/// Values of one kind; an equal one is found again as long as somebody has it.
pub(crate) struct Pool<T: ?Sized> {
    inner: Mutex<Inner<T>>,
    hasher: RandomState,
}

struct Inner<T: ?Sized> {
    known: HashMap<u64, Weak<T>>,
    /// Values that nobody has any more are thrown out when there are that many.
    limit: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        let inner = Inner {
            known: HashMap::new(),
            limit: 64,
        };
        Self {
            inner: Mutex::new(inner),
            hasher: RandomState::new(),
        }
    }
}

impl<T: ?Sized + Serialize + PartialEq> Pool<T> {
    /// The value that equals `value`; `make` makes it where there is none.
    pub(crate) fn share(&self, value: &T, make: impl FnOnce(&T) -> Arc<T>) -> Arc<T> {
        // What can't be written down can't be found again.
        let Ok(text) = serde_json::to_vec(value) else {
            return make(value);
        };
        let hash = self.hasher.hash_one(&text);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = inner.known.get(&hash).and_then(Weak::upgrade)
            && *known == *value
        {
            return known;
        }
        let made = make(value);
        inner.known.insert(hash, Arc::downgrade(&made));
        if inner.known.len() > inner.limit {
            inner.known.retain(|_, known| known.strong_count() > 0);
            inner.limit = 64.max(inner.known.len() * 2);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(pool: &Pool<str>, text: &str) -> Arc<str> {
        pool.share(text, |text| text.into())
    }

    #[test]
    fn equal_values_are_one_while_somebody_has_them() {
        let pool = Pool::default();
        let first = share(&pool, "a");
        assert!(Arc::ptr_eq(&first, &share(&pool, "a")));
        assert!(!Arc::ptr_eq(&first, &share(&pool, "b")));
        for number in 0..1000 {
            share(&pool, &number.to_string());
        }
        assert!(pool.inner.lock().is_ok_and(|inner| inner.known.len() <= 65));
        assert!(Arc::ptr_eq(&first, &share(&pool, "a")));
    }
}
