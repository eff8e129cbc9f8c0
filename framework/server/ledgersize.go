package server

import (
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/state"
)

var (
	ledgerBytesDesc = prometheus.NewDesc("landfall_ledger_bytes", "Bytes of the files of the ledger. Absent if it is in PostgreSQL.", nil, nil)
	ledgerFilesDesc = prometheus.NewDesc("landfall_ledger_member_files", "Files with the members of large audiences, beside the ledger. Absent if it is in PostgreSQL.", nil, nil)
)

// ledgerMetrics reports the size of a ledger in files. It looks at the files on each scrape.
type ledgerMetrics struct{ v *server }

// Describe implements prometheus.Collector.
func (m ledgerMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- ledgerBytesDesc
	to <- ledgerFilesDesc
}

// Collect implements prometheus.Collector.
func (m ledgerMetrics) Collect(to chan<- prometheus.Metric) {
	size := m.v.ledgerSize()
	if size == nil {
		return
	}
	to <- prometheus.MustNewConstMetric(ledgerBytesDesc, prometheus.GaugeValue, float64(size.Bytes))
	to <- prometheus.MustNewConstMetric(ledgerFilesDesc, prometheus.GaugeValue, float64(size.MemberFiles))
}

// ledgerSize returns the size of a ledger in files; nil if it is in a database.
func (v *server) ledgerSize() *console.LedgerSize {
	if !v.store.IsLocal() {
		return nil
	}
	files, bytes := state.FileSizes(filepath.Join(instances.DataDir(v.config.Load(), v.Data), state.File(v.Target.SandboxName())))
	return &console.LedgerSize{MemberFiles: files, Bytes: bytes}
}
