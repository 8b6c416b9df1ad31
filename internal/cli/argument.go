package cli

import (
	"errors"
	"slices"
)

// An argumentError is what went wrong with one of several arguments. Its text is
// that of what went wrong.
type argumentError struct {
	arg string // as it was given
	err error
}

func (e *argumentError) Error() string { return e.err.Error() }
func (e *argumentError) Unwrap() error { return e.err }

// about says which argument err is about, of each failure that it joins; nil stays
// nil.
func about(arg string, err error) error {
	if err == nil {
		return nil
	}
	var errs []error
	for _, e := range flatten(err) {
		errs = append(errs, &argumentError{arg, e})
	}
	return errors.Join(errs...)
}

// blamed returns the arguments that err may be about: the one that it names, or all
// there are.
func (f *Factory) blamed(err error) []string {
	if one, ok := errors.AsType[*argumentError](err); ok {
		return []string{one.arg}
	}
	return f.arguments()
}

// foremost returns, of the failures that err joins, the first of those that the exit
// code is about, or would be if nothing had been done; all of them where their class
// has no code of its own.
func foremost(err error) error {
	each := flatten(err)
	if i := slices.IndexFunc(each, isUsage); i >= 0 {
		return each[i]
	}
	for _, c := range classes {
		if i := slices.IndexFunc(each, c.is); i >= 0 {
			return each[i]
		}
	}
	return err
}
