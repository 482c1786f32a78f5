;; world: info-and-kv
;; Its allocator answers with a place outside of its memory.
(module
  (import "wharf:kv/store@0.1.0" "get" (func $get (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0x7ffffff0))
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32)
    (call $get (i32.const 0) (i32.const 0) (i32.const 1024))
    unreachable))
