package destination

// The keys of the reserved fields, which control batching. The runtime reads them; they are not part of the types that handlers
// get.
const (
	EnableBatching = "enable_batching" // false: payloads are sent one by one
	BatchSize      = "batch_size"      // the maximum number of payloads in a batch
	BatchBytes     = "batch_bytes"     // the maximum size of a batch's payloads as JSON, in bytes
	BatchKeys      = "batch_keys"      // fields that must be equal for all payloads of a batch
)

const (
	// DefaultBatchSize is the maximum number of payloads in a batch if the batch_size field of an action has no maximum.
	DefaultBatchSize = 1000
	// MaxBatchSize is the highest maximum that a batch_size field may have.
	MaxBatchSize = 10_000
)

// IsReserved reports whether key is the key of a reserved field.
func IsReserved(key string) bool {
	switch key {
	case EnableBatching, BatchSize, BatchBytes, BatchKeys:
		return true
	}
	return false
}
