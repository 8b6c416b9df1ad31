package render

import (
	"errors"
	"reflect"
	"strings"
	"text/template"

	"github.com/wherry-dev/wherry/internal/pattern"
)

// A TemplateError is a template that does not fit the result. It wraps the
// error of package text/template in words that speak of fields, not of Go's types.
type TemplateError struct {
	Field  string   // that is not there; empty where something else is wrong
	Fields []string // what there is instead, of the whole result
	At     string   // the action that failed, such as .Name
	Err    error
}

func (e *TemplateError) Error() string {
	if e.Field != "" {
		return "--format: {{" + e.At + "}}: there is no field " + e.Field + "; the result has " + strings.Join(e.Fields, ", ")
	}
	_, what, ok := strings.Cut(e.Err.Error(), "<"+e.At+">: ")
	if !ok {
		return "--format: the template does not fit the result"
	}
	return "--format: {{" + e.At + "}}: " + goType().ReplaceAllString(what, "")
}

// Unwrap returns the error of package text/template.
func (e *TemplateError) Unwrap() error { return e.Err }

var (
	action  = pattern.Lazy(`executing "format" at <(.*?)>: `)
	noField = pattern.Lazy(`can't evaluate field (\S+) in type`)
	goType  = pattern.Lazy(` (in|of) type \S+`)
)

// templateError says in the words of a user what a template did wrong with
// value. What is no error of the template stays as it is.
func templateError(err error, value any) error {
	if _, ok := errors.AsType[template.ExecError](err); !ok {
		return err
	}
	e := &TemplateError{Fields: fieldsOf(reflect.TypeOf(value)), Err: err}
	if m := action().FindStringSubmatch(err.Error()); m != nil {
		e.At = m[1]
	}
	if m := noField().FindStringSubmatch(err.Error()); m != nil {
		e.Field = m[1]
	}
	return e
}

// headerError is templateError for the header of a table of value: it knows the
// names of the columns only by what is below them.
func headerError(err error, value any) error {
	failed, ok := errors.AsType[*TemplateError](err)
	if !ok {
		return err
	}
	t := reflect.TypeOf(value)
	if t != nil && t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	failed.Fields = fieldsOf(t)
	return failed
}

// fieldsOf returns the names that a template can use of a result.
func fieldsOf(t reflect.Type) []string {
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for field := range t.Fields() {
		switch {
		case field.Anonymous:
			names = append(names, fieldsOf(field.Type)...)
		case field.IsExported():
			names = append(names, field.Name)
		}
	}
	return names
}
