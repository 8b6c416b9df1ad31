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
}

// RoundTrip implements [http.RoundTripper].
func (l Log) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if !l.Logger.Enabled(ctx, slog.LevelDebug) {
		return l.Next.RoundTrip(req)
	}
	began := time.Now()
	resp, err := l.Next.RoundTrip(req)
	attrs := []slog.Attr{
		slog.String("method", req.Method),
		slog.String("url", Redact(req.URL)),
		slog.Duration("took", time.Since(began)),
		slog.Any("asked", redactHeader(req.Header)),
	}
	if err != nil {
		l.log(ctx, append(attrs, slog.String("error", err.Error())))
		return resp, err
	}
	l.log(ctx, append(attrs, slog.Int("status", resp.StatusCode), slog.Any("answered", redactHeader(resp.Header))))
	return resp, nil
}

func (l Log) log(ctx context.Context, attrs []slog.Attr) {
	l.Logger.LogAttrs(ctx, slog.LevelDebug, "http exchange", attrs...)
}
