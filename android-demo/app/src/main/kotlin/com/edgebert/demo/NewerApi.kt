package com.edgebert.demo

/** On code behind an SDK_INT check that calls an API newer than minSdk 26; the build's API check leaves it out. */
@Retention(AnnotationRetention.BINARY)
@Target(AnnotationTarget.FUNCTION)
annotation class NewerApi
