package httpx

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Log writes every exchange to Logger at debug level, without anything secret.
type Log struct {
	Next   http.RoundTripper
	Logger *slog.Logger
	Mask   func(string) string // hides in a text what its host must not repeat; nil hides nothing
}

// RoundTrip implements [http.RoundTripper].
func (l Log) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if !l.Logger.Enabled(ctx, slog.LevelDebug) {
		return l.Next.RoundTrip(req)
	}
	began := time.Now()
	resp, err := l.Next.RoundTrip(req)
	asked := redactHeader(req.Header) // with headers that the user configured
	for key, value := range asked {
		if key != "Authorization" {
			asked[key] = l.mask(value)
		}
	}
	attrs := []slog.Attr{
		slog.String("method", req.Method),
		slog.String("url", l.mask(Redact(req.URL))),
		slog.Duration("took", time.Since(began)),
		slog.Any("asked", asked),
	}
	if err != nil {
		l.log(ctx, append(attrs, slog.String("error", l.mask(err.Error()))))
		return resp, err
	}
	answered, hidden := redactHeader(resp.Header), HiddenIn(req)
	for key, value := range answered {
		answered[key] = Hide(l.mask(value), hidden)
	}
	l.log(ctx, append(attrs, slog.Int("status", resp.StatusCode), slog.Any("answered", answered)))
	return resp, nil
}

func (l Log) mask(text string) string {
	if l.Mask == nil {
		return text
	}
	return l.Mask(text)
}

func (l Log) log(ctx context.Context, attrs []slog.Attr) {
	l.Logger.LogAttrs(ctx, slog.LevelDebug, "http exchange", attrs...)
}
