;; world: info
;; Returns a pointer far outside its memory: lifting the result must fail as a broken contract, not crash.
(module
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32) (i32.const 0x7ffffff0)))
