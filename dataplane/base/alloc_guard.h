// seal(): from here on this thread must not allocate; operator new on it aborts.
//
// Linking it replaces the program's operator new with one that looks at the thread's seal.
#pragma once

namespace millrace::base {

void seal();    // this thread
void unseal();  // at drain, before the thread's objects are destroyed
bool is_sealed();

}  // namespace millrace::base
