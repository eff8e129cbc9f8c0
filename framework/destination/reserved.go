package destination

// The reserved fields, by their keys: how the payloads of an action go together into batches. The runtime reads them; they are
// no part of the types that handlers see.
const (
	EnableBatching = "enable_batching" // false: one by one
	BatchSize      = "batch_size"      // the most payloads of a batch
	BatchBytes     = "batch_bytes"     // the most bytes of a batch's payloads as JSON
	BatchKeys      = "batch_keys"      // fields in which the payloads of a batch are equal
)

const (
	// DefaultBatchSize is the most payloads of a batch unless the batch_size field of an action has a maximum.
	DefaultBatchSize = 1000
	// MaxBatchSize is the highest maximum that a batch_size field may have.
	MaxBatchSize = 10_000
)

// IsReserved tells whether a field of an action is reserved.
func IsReserved(key string) bool {
	switch key {
	case EnableBatching, BatchSize, BatchBytes, BatchKeys:
		return true
	}
	return false
}
