//! What is lent to a hook of the host's until it returns, and is found again by its pointer.
//!
//! Theory: each thread keeps a list of what it is lending, the innermost first (a hook may run another session on its
//! own thread). The functions that take such a pointer look it up there, so that one kept beyond the hook, a copy, or
//! one carried to another thread is an error and not a stray access.

use std::any::TypeId;
use std::cell::Cell;
use std::ptr::NonNull;

/// One entry of a thread's list; on the stack of the call that lends.
struct Loan {
    lent: NonNull<()>,
    kind: TypeId,
    outer: *const Loan,
}

thread_local! {
    static INNERMOST: Cell<*const Loan> = const { Cell::new(std::ptr::null()) };
}

/// Puts the list back as it was, also in a panic.
struct Restored<'l> {
    innermost: &'l Cell<*const Loan>,
    outer: *const Loan,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        self.innermost.set(self.outer);
    }
}

/// Runs `hook`, and lends it `lent` meanwhile.
#[inline]
pub(super) fn lend<T: 'static, R>(lent: &T, hook: impl FnOnce() -> R) -> R {
    // In a shared library each look at the thread's list is a call: there is one for each frame.
    INNERMOST.with(|innermost| {
        let outer = innermost.get();
        let loan = Loan { lent: NonNull::from(lent).cast(), kind: TypeId::of::<T>(), outer };
        let _restored = Restored { innermost, outer };
        innermost.set(&raw const loan);
        hook()
    })
}

/// What this thread has lent last, if that is a `T`: it is alive until the hook that is running returns.
#[inline]
pub(super) fn innermost<T: 'static>() -> Option<NonNull<T>> {
    // SAFETY: as in `find`.
    let loan = unsafe { INNERMOST.get().as_ref() }?;
    (loan.kind == TypeId::of::<T>()).then(|| loan.lent.cast())
}

/// The `T` at `pointer`, if this thread is lending it: it is alive until the hook that is running returns.
pub(super) fn find<T: 'static>(pointer: *const ()) -> Option<NonNull<T>> {
    let mut next = INNERMOST.get();
    // SAFETY: what is on the list is on the stack of a call of `lend` that has not returned.
    while let Some(loan) = unsafe { next.as_ref() } {
        if std::ptr::eq(loan.lent.as_ptr(), pointer) && loan.kind == TypeId::of::<T>() {
            return Some(loan.lent.cast());
        }
        next = loan.outer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lent<T: 'static>(it: &T) -> bool {
        find::<T>((&raw const *it).cast()).is_some()
    }

    #[test]
    fn what_is_lent_is_found_until_the_hook_returns_and_by_its_own_type_only() {
        let (outer, inner) = (1u64, 2u64);
        assert!(!is_lent(&outer));
        lend(&outer, || {
            assert!(is_lent(&outer) && !is_lent(&inner));
            lend(&inner, || assert!(is_lent(&outer) && is_lent(&inner)));
            assert!(is_lent(&outer) && !is_lent(&inner));
            assert!(find::<i64>((&raw const outer).cast()).is_none());
            std::thread::scope(|scope| {
                scope.spawn(|| assert!(!is_lent(&outer)));
            });
        });
        assert!(!is_lent(&outer));
    }

    #[test]
    fn what_was_lent_last_is_known_by_its_own_type_only() {
        let (outer, inner) = (1u64, 2i64);
        let last = || innermost::<u64>().map(|it| it.as_ptr().cast_const());
        assert!(last().is_none());
        lend(&outer, || {
            assert_eq!(last(), Some(&raw const outer));
            lend(&inner, || assert!(last().is_none()));
            assert_eq!(last(), Some(&raw const outer));
        });
        assert!(last().is_none());
    }

    #[test]
    fn a_hook_that_panics_ends_the_loan() {
        let it = 1u64;
        let panicked = std::panic::catch_unwind(|| lend(&it, || panic!("meant")));
        assert!(panicked.is_err() && !is_lent(&it));
    }
}
