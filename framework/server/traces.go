package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// openTraces returns a tracer that sends spans to the collector in OpenTelemetry's environment variables. Without a collector the tracer
// does nothing. The caller calls end to send the remaining spans.
func openTraces(ctx context.Context) (tracer trace.Tracer, end func(), err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return noop.NewTracerProvider().Tracer(""), func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot set up the traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "landfall")), resource.WithFromEnv(), resource.WithHost())
	if err != nil {
		return nil, nil, fmt.Errorf("cannot set up the traces: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	end = func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = provider.Shutdown(ending) // losing spans must not fail the command
	}
	return provider.Tracer("landfall"), end, nil
}

// traceRequests records a span for each request to next. If the request belongs to a trace, the span becomes part of it.
func traceRequests(tracer trace.Tracer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, "ingest", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.route", r.URL.Path)))
		defer span.End()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r.WithContext(ctx))
		span.SetAttributes(attribute.Int("http.response.status_code", seen.status))
		if seen.status >= 500 {
			span.SetStatus(codes.Error, http.StatusText(seen.status))
		}
	})
}

// statusWriter is a ResponseWriter that records the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap returns the underlying ResponseWriter, which http.ResponseController and http.MaxBytesReader need.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
